//! Downloads from servers that cut, stall, lie and redirect, all of them here.

mod charts;
mod child;
mod faults;
mod lab;
mod published;
mod reach;
mod resume;
mod server;
mod several;
mod tls;
