//! The command line of hearthgate. Everything it does is in the library.

/// The gateway allocates and frees small strings on several threads; this allocator does that in less time than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hearthgate::command::main()
}
