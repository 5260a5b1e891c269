//! Who may do what, what strangers cannot do, and what is written down about it.

mod attacks;
mod audit;
mod mutual_tls;
mod secrets;
mod table;
mod tokens;
