//! `hearthgate demo` and `hearthgate demo-hospital`.

use super::serve::asked_to_stop;
use super::{FAULT, FINE, USAGE, complain, said};
use crate::clock::{Clock, Entropy};
use crate::demo::{self, BundleFile};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;

#[derive(Args)]
pub struct DemoArguments {
    /// Transaction bundles that hospital A sends, .json or .json.gz, in this order; without any, an embedded one.
    #[arg(long, num_args = 1..)]
    bundle: Vec<PathBuf>,
}

#[derive(Args)]
pub struct HospitalArguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
}

pub fn demo(arguments: &DemoArguments) -> u8 {
    let bundles: Result<Vec<BundleFile>, String> = arguments.bundle.iter().map(|path| BundleFile::read(path)).collect();
    let bundles = match bundles {
        Ok(bundles) => bundles,
        Err(text) => return complain(USAGE, text),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAULT, error),
    };
    match runtime.block_on(demo::tell(bundles, &mut said::Answers, Clock::system(), Entropy::system())) {
        Ok(true) => FINE,
        Ok(false) => complain(FAULT, "the story did not go as told"),
        Err(fault) => complain(FAULT, fault),
    }
}

pub fn hospital(arguments: &HospitalArguments) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAULT, error),
    };
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(arguments.listen).await?;
        remark!("hospital B: http://{}/fhir", listener.local_addr()?);
        tokio::select! {
            served = demo::serve_alone(listener) => served,
            () = asked_to_stop() => Ok(()),
        }
    });
    served.map_or_else(|error| complain(FAULT, format!("{}: {error}", arguments.listen)), |()| FINE)
}
