//! What an operator sees: metrics, traces, the dashboard, the files for deployment.

mod containers;
mod dashboard;
mod deploy;
mod telemetry;
mod traces;
