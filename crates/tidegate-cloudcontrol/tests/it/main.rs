//! The appliers against servers: the sandbox, and any emulator whose URL `TIDEGATE_TEST_AWS_ENDPOINT` names
//! (`cargo test -p tidegate-cloudcontrol --test it -- --ignored --nocapture`). It stands here because only this crate may know
//! every AWS handler in its tests.

mod bench;
mod canned;
mod cases;
mod cases_more;
mod pace;
mod protection;
mod secrets;
mod servers;
