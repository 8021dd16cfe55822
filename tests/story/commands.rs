//! The command line where nobody listens, and what its exit status says.

use crate::support::folder::Folder;
use crate::support::process::hearthgate;
use std::fs::File;
use std::io::{Read, Write, pipe};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A folder with a resource, a package and a cache that holds it.
fn desk() -> Folder {
    let folder = Folder::new("commands");
    folder.write("p.json", r#"{"resourceType": "Patient", "gender": "frobnicated", "name": [{"family": "A"}]}"#);
    package(folder.path(), "own", "{}");
    let added = hearthgate(&["package", "add", "own", "--cache", "cache"], folder.path());
    assert_eq!(status(&added), 0, "{added:?}");
    folder
}

fn package(folder: &Path, name: &str, dependencies: &str) {
    let manifest = format!(r#"{{"name": "r.{name}", "version": "1.0.0", "dependencies": {dependencies}}}"#);
    std::fs::create_dir_all(folder.join(name).join("package")).unwrap();
    std::fs::write(folder.join(name).join("package/package.json"), manifest).unwrap();
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn run(arguments: &[&str], folder: &Path, answers: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearthgate"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(answers).stderr(Stdio::piped()).output().unwrap()
}

/// `head` goes away when it has read enough; a disk is full when it is.
#[test]
fn an_answer_that_nobody_takes_ends_a_command_in_order() {
    let folder = desk();
    for (arguments, at_end) in [
        (&["fhirpath", "Patient.name.family", "p.json"][..], 0),
        (&["package", "list", "--cache", "cache"], 0),
        (&["consent", "label", "p.json"], 0),
        (&["normalise", "--source", "epic", "p.json"], 0),
        (&["validate", "p.json"], 3),
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let unread = run(arguments, folder.path(), writer);
        assert_eq!((status(&unread), String::from_utf8_lossy(&unread.stderr).as_ref()), (at_end, ""), "{arguments:?}");
        let full = run(arguments, folder.path(), File::options().write(true).open("/dev/full").unwrap());
        let said = String::from_utf8_lossy(&full.stderr);
        assert_eq!((status(&full), said.lines().count()), (3, 1), "{arguments:?}: {said}");
        assert!(said.contains("cannot be written: No space left on device"), "{arguments:?}: {said}");
    }
    // Where even that cannot be said, the status does.
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearthgate"));
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mute = command.args(["check", "gone.toml"]).current_dir(folder.path()).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(mute.code(), Some(2));
}

/// A registry of one package, whose archive has not the digest that is stated for it.
fn registry(archive: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let listing = format!(r#"{{"versions": {{"1.0.0": {{"dist": {{"tarball": "{base}/archive", "shasum": "00"}}}}}}}}"#);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &listing, &archive);
        }
    });
    base
}

fn answer(mut stream: TcpStream, listing: &str, archive: &[u8]) {
    let mut asked = [0; 4096];
    let length = stream.read(&mut asked).unwrap_or(0);
    let path = String::from_utf8_lossy(&asked[..length]).split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = match path.as_str() {
        "/r.own" => ("200 OK", listing.as_bytes()),
        "/archive" => ("200 OK", archive),
        _ => ("404 Not Found", &b""[..]),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

#[test]
fn a_status_says_whether_a_package_is_there_with_all_it_needs() {
    let folder = desk();
    package(folder.path(), "needy", r#"{"r.gone": "1.0.0"}"#);
    package(folder.path(), "served", r#"{"r.own": "1.0.0"}"#);
    let base = registry(b"no archive".to_vec());
    let nothing = "0".repeat(64);
    for (why, arguments, expected, said) in [
        ("what it needs is nowhere", &["needy"][..], 1, "r.gone#1.0.0 is needed and was not found"),
        ("the registry has not what it needs", &["needy", "--registry", &base], 1, "r.gone#1.0.0 is needed and was not found"),
        ("what it needs is not asked for", &["needy", "--no-dependencies"], 0, ""),
        ("another digest than the one given", &["needy", "--sha256", &nothing], 1, "the digest is wrong"),
        ("another digest than the registry's", &["r.own#1.0.0", "--registry", &base], 1, "the digest is wrong"),
        ("the same of what is needed", &["served", "--registry", &base], 1, "the digest is wrong"),
        ("a registry that does not answer", &["r.own#1.0.0", "--registry", "http://127.0.0.1:9"], 3, "r.own#1.0.0"),
    ] {
        let _ = std::fs::remove_dir_all(folder.path().join("other"));
        let added = hearthgate(&[&["package", "add", "--cache", "other"], arguments].concat(), folder.path());
        let told = String::from_utf8_lossy(&added.stderr);
        assert_eq!(status(&added), expected, "{why}: {told}");
        assert!(told.contains(said) && (expected != 0 || told.is_empty()), "{why}: {told}");
    }
}

/// What is said to help does.
#[test]
fn a_cache_that_cannot_be_read_is_not_added_to() {
    let folder = desk();
    let validate = |package: &str| {
        let judged = hearthgate(&["validate", "p.json", "--cache", "cache", "--package", package], folder.path());
        (status(&judged), String::from_utf8_lossy(&judged.stderr).into_owned())
    };
    let (code, said) = validate("r.gone#1.0.0");
    assert!(code == 2 && said.contains("add it with: hearthgate package add"), "{code}: {said}");
    let lock = folder.path().join("cache/hearthgate.lock");
    std::fs::write(&lock, "nonsense").unwrap();
    for package in ["r.own#1.0.0", "r.gone#1.0.0"] {
        let (code, said) = validate(package);
        assert!(code == 2 && said.contains("hearthgate.lock cannot be read") && said.contains("remove it"), "{code}: {said}");
        assert!(!said.contains("package add"), "{said}");
    }
    std::fs::remove_file(&lock).unwrap();
    assert_eq!(validate("r.own#1.0.0").0, 1, "the Patient is judged, with what is there");
}

/// A definition, or a folder of them, may be given where a package may.
#[test]
fn definitions_are_read_where_a_package_may_be_given() {
    let folder = desk();
    let profile = r#"{"resourceType": "StructureDefinition", "url": "http://example.org/p", "name": "P", "status": "draft", "kind": "resource",
        "abstract": false, "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}, {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]}}"#;
    std::fs::create_dir_all(folder.path().join("loose/none")).unwrap();
    folder.write("loose/profile.json", profile);
    folder.write("loose/notes.txt", "no definition");
    let validate = |given: &str| {
        let judged = hearthgate(&["validate", "p.json", "-ig", given, "--profile", "http://example.org/p"], folder.path());
        (status(&judged), String::from_utf8_lossy(&[judged.stdout, judged.stderr].concat()).into_owned())
    };
    for given in ["loose", "loose/profile.json"] {
        let (code, said) = validate(given);
        assert!(code == 1 && said.contains("birthDate"), "{given}: {code} {said}");
    }
    let (code, said) = validate("loose/none");
    assert!(code == 2 && said.contains("no package.json"), "{code} {said}");
    folder.write("loose/broken.json", "{");
    let (code, said) = validate("loose");
    assert!(code == 2 && said.contains("broken.json"), "{code} {said}");
}

/// Nobody writes to a pipe that lies in a folder.
#[test]
fn a_pipe_in_a_folder_is_passed_over() {
    let folder = desk();
    assert!(Command::new("mkfifo").arg(folder.path().join("own/pipe.json")).status().unwrap().success());
    std::fs::copy(folder.path().join("p.json"), folder.path().join("own/p.json")).unwrap();
    let judged = hearthgate(&["validate", "own"], folder.path());
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(status(&judged) == 1 && said.contains("pipe.json: is no file, and was passed over"), "{said}");
}

/// Nor does anybody write to, or read from, one that is named: it is refused, and not waited for.
#[test]
fn a_named_pipe_is_not_waited_for() {
    let folder = desk();
    let pipes = ["pipe-p", "pipe-p.json", "pipe-p.ndjson.gz"].map(|name| folder.path().join(name));
    assert!(Command::new("mkfifo").args(pipes).status().unwrap().success());
    for arguments in [
        &["validate", "pipe-p.json"][..],
        &["validate", "p.json", "pipe-p.ndjson.gz"],
        &["validate", "p.json", "--definition", "pipe-p.json"],
        &["validate", "p.json", "--fhir-version", "5.0", "--schema", "pipe-p"],
        &["validate", "p.json", "--package", "pipe-p"],
        &["validate", "p.json", "--output", "pipe-p"],
        &["fhirpath", "Patient.name", "pipe-p.json"],
        &["consent", "label", "pipe-p.json"],
        &["package", "add", "pipe-p", "--cache", "cache"],
    ] {
        let expected = if arguments.first() == Some(&"package") { 3 } else { 2 };
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearthgate"));
        let mut running = command.args(arguments).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // One that waits for the pipe waits for ever.
        let given = std::time::Instant::now();
        while running.try_wait().unwrap().is_none() && given.elapsed() < std::time::Duration::from_secs(30) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = running.kill();
        let ended = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(status(&ended) == expected && said.contains("named pipe"), "{arguments:?}: {:?} {said}", ended.status);
    }
    // One that a shell made is read.
    let piped = "\"$0\" fhirpath Patient.gender <(cat p.json) && cat p.json | \"$0\" fhirpath Patient.gender /dev/stdin";
    let read = Command::new("bash").args(["-c", piped, env!("CARGO_BIN_EXE_hearthgate")]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout).matches("frobnicated").count(), 2, "{read:?}");
}
