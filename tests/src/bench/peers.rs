//! Servers from Debian's packages, started for a measurement on free ports. Killed when dropped.

use anyhow::{Context, Result};
use livetape_testkit::{spawn, wait};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Password of sources.
pub const PASSWORD: &str = "bench";

/// A running server.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Peer {
    /// nginx, as Debian configures it but for its access log, that serves the files of a folder.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn nginx(files: &Path) -> Result<Self> {
        let (folder, address) = (tempfile::tempdir()?, free_address()?);
        let (work, files) = (folder.path().display(), files.display());
        // Else the workers may not read what root has made.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let config = format!(
            "daemon off; worker_processes auto; pid {work}/pid; error_log {work}/error.log; {user}
             events {{ worker_connections 768; }}
             http {{
               sendfile on; access_log off; keepalive_requests 1000000;
               client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
               uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
               server {{ listen {address}; root {files}; }}
             }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config)?;
        let mut command = spawn::command("/usr/sbin/nginx");
        command.arg("-c").arg(&file).arg("-p").arg(folder.path());
        Self::start("nginx", command, address, folder)
    }

    /// Icecast, with room for `clients`.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn icecast(clients: usize) -> Result<Self> {
        let (folder, address) = (tempfile::tempdir()?, free_address()?);
        let work = folder.path().display();
        let config = format!(
            "<icecast>
               <limits><clients>{clients}</clients><sources>4</sources><queue-size>4194304</queue-size>
                 <client-timeout>30</client-timeout><header-timeout>15</header-timeout><source-timeout>10</source-timeout>
                 <burst-size>196608</burst-size></limits>
               <authentication><source-password>{PASSWORD}</source-password><admin-user>admin</admin-user>
                 <admin-password>{PASSWORD}</admin-password></authentication>
               <hostname>localhost</hostname>
               <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
               <paths><logdir>{work}</logdir><webroot>/usr/share/icecast2/web</webroot>
                 <adminroot>/usr/share/icecast2/admin</adminroot></paths>
               <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
               <security><chroot>0</chroot></security>
             </icecast>",
            port = address.port(),
        );
        let file = folder.path().join("icecast.xml");
        std::fs::write(&file, config)?;
        // It refuses to be root.
        let mut command = spawn::command(if rustix::process::geteuid().is_root() { "setpriv" } else { "icecast2" });
        if rustix::process::geteuid().is_root() {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL", "--", "icecast2"]);
        }
        command.arg("-c").arg(&file);
        Self::start("icecast2", command, address, folder)
    }

    fn start(name: &str, mut command: std::process::Command, address: SocketAddr, folder: TempDir) -> Result<Self> {
        let log = std::fs::File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A server that is not root has to write its log here.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open)?;
        let child = spawn::spawn(command).with_context(|| format!("{name}: try scripts/setup.sh bench"))?;
        let peer = Self { child, address, _folder: folder };
        let connects = || TcpStream::connect(address).ok().map(drop);
        let log = || std::fs::read_to_string(peer._folder.path().join("log")).unwrap_or_default();
        wait::until(name, Duration::from_secs(10), connects).with_context(log)?;
        Ok(peer)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx has children, which go with it when it is asked to go.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        _ = spawn::wait(&mut self.child, Duration::from_secs(5));
    }
}

/// An address that nobody has now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
