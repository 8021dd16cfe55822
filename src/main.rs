fn main() -> std::process::ExitCode {
    hearthgate::command::main()
}
