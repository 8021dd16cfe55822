//! The README is true: every command it shows is run, and what it prints is compared with what the README says it prints.
//!
//! Commands stand in blocks marked `console`, behind `$ ` and continued behind `> `; what follows is their output, errors included. All of them run in
//! one shell, in order, in a copy of the samples, with the binary that was built. Before comparing, what differs from run to run is put into
//! one form (see [`same_form`]). To write what they print into the README: `HEARTHGATE_README=update cargo test readme`.

use crate::support::Folder;
use regex::Regex;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Commands that are shown and not run here: they would fetch the repository, and run this test again.
const NOT_RUN: [&str; 2] = ["git clone ", "bash deploy/test.sh"];
/// Ports of the samples, each replaced by one that is free.
const PORTS: [&str; 3] = [":8080", ":8081", ":8082"];
/// How long all commands together may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One command of the README and the output shown behind it.
struct Step {
    command: String,
    shown: String,
    /// The lines of the README that hold the output: the first, and the one behind the last.
    lines: (usize, usize),
}

#[test]
fn every_command_prints_what_the_readme_shows() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let steps = steps(&text);
    for command in NOT_RUN {
        assert!(steps.iter().any(|step| step.command.starts_with(command)), "the README does not show `{command}` any more");
    }
    let steps: Vec<Step> = steps.into_iter().filter(|step| !NOT_RUN.iter().any(|command| step.command.starts_with(command))).collect();
    let printed = run(&steps);
    if std::env::var_os("HEARTHGATE_README").is_some_and(|wish| wish == "update") {
        std::fs::write(&readme, updated(&text, &steps, &printed)).unwrap();
        return;
    }
    for (step, printed) in steps.iter().zip(&printed) {
        let (shown, printed_form) = (same_form(&step.shown), same_form(printed));
        assert_eq!(shown, printed_form, "README.md:{}: `{}` printed\n{printed}", step.lines.0, step.command);
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), _, _) => {
                    steps.push(Step { command: command.to_owned(), shown: String::new(), lines: (number + 1, number + 1) });
                }
                (None, Some(more), Some(step)) if step.shown.is_empty() => {
                    step.command = format!("{}\n{more}", step.command);
                    step.lines = (number + 1, number + 1);
                }
                (None, _, Some(step)) => {
                    step.shown = format!("{}{line}\n", step.shown);
                    step.lines.1 = number + 1;
                }
                (None, _, None) => panic!("README.md:{number}: a console block that begins with output"),
            }
        }
    }
    steps
}

/// Runs all commands in one shell and answers what each printed.
fn run(steps: &[Step]) -> Vec<String> {
    let folder = Folder::new("readme");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["deploy", "fixtures/demo"] {
        copy(&root.join(name), &folder.path().join(name));
    }
    let ports = PORTS.map(|port| (port, free_port()));
    let with_free_ports = |text: &str| ports.iter().fold(text.to_owned(), |text, (port, free)| text.replace(port, &format!(":{free}")));
    let sample = folder.path().join("deploy/try.toml");
    std::fs::write(&sample, with_free_ports(&std::fs::read_to_string(&sample).unwrap())).unwrap();
    // `cargo run` would build another profile.
    let mut script = "exec 2>&1\ncargo() { while [ \"$1\" != -- ]; do shift; done; shift; hearthgate \"$@\"; }\n".to_owned();
    for (index, step) in steps.iter().enumerate() {
        script.push_str(&format!("printf '\\n{}\\n'\n{}\n", marker(index), with_free_ports(&step.command)));
    }
    let script = folder.write("readme.sh", &script);
    let output = folder.path().join("readme.out");
    wait(shell(&folder, &script, &output));
    // HTTP headers end their lines in their own way.
    let text = std::fs::read_to_string(&output).unwrap().replace('\r', "");
    let text = ports.iter().fold(text, |text, (port, free)| text.replace(&format!(":{free}"), port));
    (0..steps.len()).map(|index| between(&text, &marker(index), &marker(index + 1))).collect()
}

fn marker(index: usize) -> String {
    format!("@@ step {index} @@")
}

fn between(text: &str, begin: &str, end: &str) -> String {
    let after = text.split_once(&format!("{begin}\n")).map_or("", |(_, after)| after);
    let output = after.split_once(&format!("\n{end}\n")).map_or(after, |(output, _)| output);
    if output.is_empty() { String::new() } else { format!("{}\n", output.trim_end_matches('\n')) }
}

/// The shell, in a process group of its own, with the built binary first on its path.
fn shell(folder: &Folder, script: &Path, output: &Path) -> Child {
    let binary = Path::new(env!("CARGO_BIN_EXE_hearthgate")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.arg(script).current_dir(folder.path()).env("PATH", path).env_remove("HEARTHGATE_LOG").env("no_proxy", "127.0.0.1");
    command.stdin(Stdio::null()).stdout(File::create(output).unwrap()).process_group(0).spawn().unwrap()
}

/// Waits for the shell, and ends whatever it left running.
fn wait(mut shell: Child) {
    let start = Instant::now();
    while shell.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    let in_time = start.elapsed() < PATIENCE;
    let group = format!("-{}", shell.id());
    // Nothing may be left to end, and then this fails, which is fine.
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let _ = shell.wait();
    assert!(in_time, "the commands of the README took longer than {PATIENCE:?}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// What differs from run to run, in one form: gateway ids, instants, durations, ports the system chose, the log's key.
fn same_form(text: &str) -> String {
    let forms = [
        (r"hg-[0-9a-v]{26}", "hg-ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "INSTANT"),
        (r" +\d+\.\d ms", " DURATION"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,44}=?", "+KEY"),
    ];
    let text =
        forms.iter().fold(text.to_owned(), |text, (pattern, form)| Regex::new(pattern).unwrap().replace_all(&text, *form).into_owned());
    // How many leaves there are depends on which of them came into the log together; it is so many times sixteen.
    let sizes = Regex::new(r"(?m)(at size |^)(\d+)( leaves|;)").unwrap();
    let in_sixteens = |found: &regex::Captures<'_>| match found[2].parse::<u64>() {
        Ok(size) if size > 0 && size.is_multiple_of(16) => format!("{}SIXTEENS{}", &found[1], &found[3]),
        _ => found[0].to_owned(),
    };
    sizes.replace_all(&text, in_sixteens).into_owned()
}

/// The README with what was printed in the place of what was shown.
fn updated(text: &str, steps: &[Step], printed: &[String]) -> String {
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    for (step, printed) in steps.iter().zip(printed).rev() {
        lines.splice(step.lines.0..step.lines.1, [printed.clone()]);
    }
    lines.concat()
}

#[test]
fn commands_and_output_are_told_apart() {
    let text = "text\n```console\n$ one \\\n> more\nout\n$ two\n```\n```sh\n$ not this\n```\n";
    let steps = steps(text);
    assert_eq!(steps.iter().map(|step| step.command.as_str()).collect::<Vec<_>>(), ["one \\\nmore", "two"]);
    assert_eq!(steps.iter().map(|step| step.shown.as_str()).collect::<Vec<_>>(), ["out\n", ""]);
    let printed = ["new\n".to_owned(), "also\n".to_owned()];
    let expected = "text\n```console\n$ one \\\n> more\nnew\n$ two\nalso\n```\n```sh\n$ not this\n```\n";
    assert_eq!(updated(text, &steps, &printed), expected);
}
