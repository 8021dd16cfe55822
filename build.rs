//! Compiles the trimmed packages in `profiles/` into one indexed file that the binary embeds. It reads nothing else and never uses the network.

use std::fs;
use std::path::{Path, PathBuf};

/// The parts of the document model that reading definitions takes, under the names the library gives them, so that its files fit here.
#[expect(dead_code, unused_imports, reason = "the build uses a part of these files")]
#[path = "src/fhir"]
mod fhir {
    pub mod json;
    pub mod node;
    pub mod types;
    pub use node::{Node, Object};
}
#[expect(dead_code, reason = "the build writes what this file reads")]
#[path = "src/definitions/blob.rs"]
mod blob;
#[path = "src/definitions/compile/mod.rs"]
mod compile;
#[expect(dead_code, reason = "the build uses a part of this file")]
#[path = "src/definitions/model.rs"]
mod model;
#[path = "src/definitions/store.rs"]
mod store;
#[expect(dead_code, reason = "the build uses a part of this file")]
#[path = "src/definitions/versions.rs"]
mod versions;

/// The release of the embedded definitions.
const RELEASE: &str = "4.0.1";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for input in [
        "profiles",
        "build.rs",
        "src/definitions/blob.rs",
        "src/definitions/model.rs",
        "src/definitions/compile",
        "src/definitions/store.rs",
        "src/definitions/versions.rs",
        "src/fhir/json.rs",
        "src/fhir/node.rs",
        "src/fhir/types.rs",
    ] {
        println!("cargo::rerun-if-changed={input}");
    }
    let mut definitions = Vec::new();
    for package in sorted(Path::new("profiles"))?.iter().filter(|path| path.is_dir()) {
        for file in sorted(package)?.iter().filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")) {
            read(file, &mut definitions)?;
        }
    }
    let blob = store::write(compile::compile(RELEASE, definitions.iter()))?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("definitions.bin");
    Ok(fs::write(out, blob)?)
}

fn sorted(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read(file: &Path, definitions: &mut Vec<fhir::Node>) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')).filter(|(_, line)| !line.is_empty()) {
        let definition = fhir::json::parse(line, fhir::json::DEFAULT_DEPTH);
        definitions.push(definition.map_err(|error| format!("{}:{number}: {}", file.display(), error.kind))?);
    }
    Ok(())
}
