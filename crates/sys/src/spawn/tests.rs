use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;

/// Waits up to five seconds for the end of a script.
fn wait(process: &mut Process) -> Ended {
    for _ in 0..500 {
        if let Some(ended) = process.try_wait().unwrap() {
            return ended;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("process {} does not end", process.pid());
}

fn shell(script: &str, environment: &[&str]) -> Program {
    let environment: Vec<String> = environment.iter().map(ToString::to_string).collect();
    Program::new(
        "/bin/sh",
        &["-c".to_owned(), script.to_owned()],
        &environment,
    )
    .unwrap()
}

/// Starts a program as a script that runs as this process does.
fn start(program: &Program) -> Process {
    spawn_script(&Script {
        program,
        file: None,
        identity: None,
        no_new_privileges: false,
        read_only: None,
    })
    .unwrap()
}

#[test]
fn exit_code_and_signal_are_told_apart() {
    let mut process = start(&shell("exit 7", &[]));
    assert_eq!(wait(&mut process), Ended::Exit(7));
    let mut process = start(&shell("kill -9 $$", &[]));
    assert_eq!(wait(&mut process), Ended::Signal(9));
}

#[test]
fn a_missing_program_is_reported_with_step_and_reason() {
    let program = Program::new("/nonexistent/program", &[], &[]).unwrap();
    let mut process = start(&program);
    let ended = wait(&mut process);
    assert_eq!(
        ended,
        Ended::NotStarted {
            step: Step::Execute,
            errno: Errno::ENOENT
        }
    );
    assert_eq!(
        ended.to_string(),
        "could not be started: the program cannot be executed: ENOENT: No such file or directory"
    );
}

#[test]
fn a_script_sees_only_the_environment_and_descriptors_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let script = format!("(env; ls /proc/self/fd | wc -l) > {}", out.display());
    let mut process = start(&shell(&script, &["A=1"]));
    assert_eq!(wait(&mut process), Ended::Exit(0));
    let text = fs::read_to_string(out).unwrap();
    assert!(text.contains("A=1\n"), "{text}");
    assert!(!text.contains("CARGO"), "{text}");
    // 0, 1, 2 and the directory that `ls` reads.
    assert!(text.ends_with("4\n"), "{text}");
}

#[test]
fn a_script_without_interpreter_line_is_run_by_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plain");
    fs::write(&path, "exit $1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::new(path.to_str().unwrap(), &["9".to_owned()], &[]).unwrap();
    let mut process = start(&program);
    assert_eq!(wait(&mut process), Ended::Exit(9));
}

#[test]
fn the_whole_group_of_a_script_can_be_ended() {
    let mut process = start(&shell("sleep 60 & wait", &[]));
    std::thread::sleep(Duration::from_millis(50));
    process.signal_group(Signal::SIGKILL);
    assert_eq!(wait(&mut process), Ended::Signal(9));
}

#[test]
fn a_child_runs_as_its_account_with_exactly_its_capabilities() {
    use crate::privilege::Holdings;
    if !Uid::effective().is_root() {
        return;
    }
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let identity = Identity {
        uid: Uid::from_raw(65534),
        gid: Gid::from_raw(65534),
        groups: vec![],
    };
    let program = shell("cat /proc/$$/status >&3", &[]);
    let mut process = spawn_child(
        (Role::Vrrpd, Duty::Usual),
        (&program, None),
        Some(&identity),
        &Tuning::default(),
        &[write.as_fd()],
        Stderr::Null,
    )
    .unwrap();
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(wait(&mut process), Ended::Exit(0));
    let holdings = Holdings::parse(&text).unwrap();
    assert_eq!(holdings.uids, [65534; 4]);
    assert_eq!(holdings.gids, [65534; 4]);
    assert!(text.contains("Groups:\t \n"), "{text}");
    // What start-up gives up afterwards is what `exec` needed to keep the others.
    let mask = Role::Vrrpd.mask();
    assert_eq!(holdings.ambient, mask);
    assert_eq!(holdings.inheritable, mask);
    assert_eq!(holdings.permitted, mask);
    assert_eq!(holdings.effective, mask);
    assert_eq!(holdings.bounding, mask);
    // The child's own first step: set here, it would bar the change to the child's profile or domain.
    assert!(!holdings.no_new_privileges);
}

/// Makes an executable file.
fn executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Opens a file as the check of a script does, puts `other` in its place, and starts it.
fn start_after_a_swap(path: &Path, other: &[u8], arguments: &[&str]) -> Ended {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).unwrap();
    let swapped = path.with_extension("new");
    executable(&swapped, other);
    fs::rename(&swapped, path).unwrap();
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let program = Program::new(path.to_str().unwrap(), &arguments, &[]).unwrap();
    let mut process = spawn_script(&Script {
        program: &program,
        file: Some(file.as_fd()),
        identity: None,
        no_new_privileges: false,
        read_only: None,
    })
    .unwrap();
    wait(&mut process)
}

#[test]
fn the_file_that_was_checked_runs_and_not_one_that_took_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    executable(&path, &fs::read("/bin/sh").unwrap());
    let ended = start_after_a_swap(&path, b"#!/bin/sh\nexit 66\n", &["-c", "exit 5"]);
    assert_eq!(ended, Ended::Exit(5));
}

#[test]
fn an_interpreted_script_runs_by_its_path_with_its_own_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    let text = format!("#!/bin/sh\ntest $0 = {} && exit 4\n", path.display());
    executable(&path, text.as_bytes());
    let ended = start_after_a_swap(&path, text.as_bytes(), &[]);
    assert_eq!(ended, Ended::Exit(4));
}

#[test]
fn a_script_leads_a_session_without_terminal_and_may_be_barred_from_new_privileges() {
    for (no_new_privileges, expected) in [(false, "NoNewPrivs:\t0"), (true, "NoNewPrivs:\t1")] {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let text = format!(
            "(cut -d' ' -f1,5-7 /proc/$$/stat; grep NoNewPrivs /proc/$$/status) > {}",
            out.display()
        );
        let program = shell(&text, &["PATH=/usr/bin:/bin"]);
        let mut process = spawn_script(&Script {
            program: &program,
            file: None,
            identity: None,
            no_new_privileges,
            read_only: None,
        })
        .unwrap();
        let pid = process.pid();
        assert_eq!(wait(&mut process), Ended::Exit(0));
        let found = fs::read_to_string(out).unwrap();
        // Process, group, session, no terminal.
        assert_eq!(found, format!("{pid} {pid} {pid} 0\n{expected}\n"));
    }
}

#[test]
fn a_running_process_gets_its_cpus_and_a_higher_nice_value_without_privilege() {
    let mut process = start(&shell("sleep 60", &[]));
    let pid = process.pid();
    let tuning = Tuning {
        nice: 5,
        cpus: vec![0],
        ..Tuning::default()
    };
    tuning.apply(&Tuning::default(), Some(pid)).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    process.signal(Signal::SIGKILL);
    wait(&mut process);
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    let behind_name = stat.rsplit_once(") ").unwrap().1;
    assert_eq!(behind_name.split(' ').nth(16), Some("5"), "{stat}");
}
