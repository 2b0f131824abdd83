use std::sync::Arc;

use super::*;

fn runner() -> SystemRunner {
    SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), Deadline::default())
}

fn sh(script: &str) -> Cmd {
    Cmd::read("sh", Duration::from_secs(60)).args(["-c", script])
}

#[test]
fn output_is_captured_byte_for_byte() {
    let output = runner().run(&sh(r"printf 'a\r\n\nb'")).unwrap();
    assert_eq!(output.stdout, b"a\r\n\nb");
}

#[test]
fn input_reaches_the_program() {
    let output = runner().run(&Cmd::read("cat", Duration::from_secs(60)).input("hello")).unwrap();
    assert_eq!(output.text(), "hello");
}

#[test]
fn lines_of_standard_error_are_passed_on_as_they_come() {
    let mut lines = Vec::new();
    let cmd = sh("echo one >&2; echo two >&2");
    runner().run_with(&cmd, &mut |source, line| lines.push((source, line.to_owned()))).unwrap();
    assert_eq!(lines, [(Stream::Err, "one".to_owned()), (Stream::Err, "two".to_owned())]);
}

#[test]
fn a_failing_command_reports_its_status_and_standard_error() {
    let error = runner().run(&sh("echo out; echo broken >&2; exit 3")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sh -c 'echo out; echo broken >&2; exit 3'` failed (exit status: 3)\n  broken"
    );
}

#[test]
fn a_failing_command_without_standard_error_reports_its_output() {
    let error = runner().run(&sh("echo why; exit 1")).unwrap_err();
    assert_eq!(error.tail(), ["why"]);
}

#[test]
fn a_missing_program_is_named() {
    let error = runner().run(&Cmd::read("no-such-tool", Duration::from_secs(60))).unwrap_err();
    assert_eq!(error.to_string(), "`no-such-tool` was not found in PATH");
}

#[test]
fn own_programs_come_after_path_unless_preferred() {
    use std::os::unix::fs::PermissionsExt as _;
    let own = tempfile::tempdir().unwrap();
    let program = own.path().join("cat");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let runner = SystemRunner::new(
        std::env::var_os("PATH"),
        Some(own.path()),
        Interrupt::default(),
        Deadline::default(),
    );
    assert_ne!(runner.locate("cat").unwrap(), program);
    assert!(runner.prefer_own("cat") && !runner.prefer_own("sh"));
    assert_eq!(runner.locate("cat").unwrap(), program);
    assert!(runner.locate("sh").is_some());
}

#[test]
fn a_secret_in_the_output_is_masked() {
    let cmd = sh("read line; echo \"bad: $line!\" >&2; exit 1").secret_input("hunter2\n", ["hunter2"]);
    assert_eq!(runner().run(&cmd).unwrap_err().tail(), ["bad: ***!"]);
}

#[test]
fn a_program_beyond_its_limit_is_stopped() {
    let started = Instant::now();
    let error = runner().run(&sh("sleep 60").limit(Duration::from_millis(100))).unwrap_err();
    assert!(matches!(error, ExecError::TimedOut { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_silent_program_is_stopped() {
    let started = Instant::now();
    let silence = Duration::from_millis(300);
    let error = runner().run(&sh("echo one >&2; sleep 60").silence(silence)).unwrap_err();
    assert!(matches!(error, ExecError::Silent { .. }), "{error}");
    assert_eq!(error.tail(), ["one"]);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_program_may_be_silent_while_another_writes() {
    let runner = runner();
    let silence = Duration::from_secs(1);
    let speaker = sh("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >&2; sleep 0.2; done").silence(silence);
    std::thread::scope(|scope| {
        scope.spawn(|| runner.run(&speaker).unwrap());
        runner.run(&sh("sleep 2").silence(silence)).unwrap();
    });
}

#[test]
fn an_interrupt_stops_the_program() {
    let interrupt = Interrupt::default();
    let runner = SystemRunner::new(std::env::var_os("PATH"), None, interrupt.clone(), Deadline::default());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        interrupt.set();
    });
    assert!(runner.run(&sh("sleep 60")).unwrap_err().is_interrupt());
}

#[test]
fn a_surviving_child_does_not_delay_the_result() {
    let started = Instant::now();
    let output = runner().run(&sh("sleep 30 & echo done")).unwrap();
    assert_eq!(output.text(), "done\n");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_program_that_asks_for_a_terminal_finds_one() {
    let output = runner().run(&sh("test -t 1 && printf 'one\\rtwo\\n'").terminal()).unwrap();
    assert_eq!(output.text(), "one\ntwo\n");
}

#[test]
fn children_are_stopped_with_the_program() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!("sleep 60 & echo $! >{}; wait", file.path().display());
    runner().run(&sh(&script).limit(Duration::from_millis(300))).unwrap_err();
    let pid = std::fs::read_to_string(file.path()).unwrap().trim().parse().unwrap();
    assert!(!is_running(pid), "the grandchild lives on");
}

/// A killed process stays a zombie until its parent reaps it, and init may take its time.
fn is_running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[test]
fn a_program_that_writes_without_end_is_stopped() {
    let runner = SystemRunner { capture: 100_000, ..runner() };
    let error = runner.run(&sh("yes")).unwrap_err();
    assert_eq!(error.to_string(), "`sh -c yes` wrote more than 97.66 KiB and was stopped");
}

#[test]
fn output_beyond_the_limit_is_an_error_even_if_the_program_succeeds() {
    let runner = SystemRunner { capture: 10, ..runner() };
    assert!(matches!(runner.run(&sh("echo 12345678901")).unwrap_err(), ExecError::TooMuch { .. }));
}

#[test]
fn a_line_without_an_end_is_cut() {
    let error = runner().run(&sh("yes | tr -d '\\n' | head -c 1000000 >&2; exit 1")).unwrap_err();
    let lengths: Vec<usize> = error.tail().iter().map(String::len).collect();
    assert_eq!(lengths, [16 * 1024 + "…".len()]);
}

#[test]
fn no_program_outlives_the_deadline() {
    let deadline = Deadline::default();
    let runner = SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), deadline.clone());
    let time = Duration::from_millis(100);
    let _lift = deadline.set(time);
    let started = Instant::now();
    let error = runner.run(&Cmd::write("sleep", Duration::from_secs(60)).arg("50")).unwrap_err();
    assert!(matches!(error, ExecError::TimedOut { limit, .. } if limit == time), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn after_the_deadline_only_reads_run() {
    let deadline = Deadline::default();
    let runner = SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), deadline.clone());
    let lift = deadline.set(Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(1100));
    let write = Cmd::write("echo", Duration::from_secs(60)).arg("x");
    assert!(matches!(runner.run(&write).unwrap_err(), ExecError::TimedOut { .. }));
    assert_eq!(runner.run(&sh("echo y")).unwrap().text(), "y\n");
    assert!(!runner.pause(Duration::ZERO));
    drop(lift);
    assert_eq!(runner.run(&write).unwrap().text(), "x\n");
}

#[test]
fn a_program_that_reports_progress_may_outlive_the_deadline() {
    let deadline = Deadline::default();
    let runner = SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), deadline.clone());
    let _lift = deadline.set(Duration::from_millis(500));
    let silence = Duration::from_secs(60);
    runner.run(&sh("for i in 1 2 3 4 5; do echo $i >&2; sleep 0.2; done").silence(silence)).unwrap();
    let error = runner.run(&sh("sleep 60").silence(silence)).unwrap_err();
    assert!(matches!(error, ExecError::Silent { .. }), "{error}");
}

#[test]
fn a_dry_run_reads_and_prints_what_it_would_write() {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&printed);
    let runner = runner().dry_run(move |line| lines.lock().unwrap().push(line.to_owned()));
    assert_eq!(runner.run(&sh("echo hi")).unwrap().text(), "hi\n");
    let write = Cmd::write("rm", Duration::from_secs(60)).arg("/nothing");
    assert_eq!(runner.run(&write).unwrap().text(), "");
    assert!(runner.start(&write).is_err());
    assert_eq!(*printed.lock().unwrap(), ["rm /nothing"]);
}

#[test]
fn each_command_is_shown_before_it_runs() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&shown);
    let runner = runner().log(move |line| lines.lock().unwrap().push(line.to_owned()));
    runner.run(&sh("exit 0")).unwrap();
    drop(runner.start(&sh("exit 1")).unwrap());
    assert_eq!(*shown.lock().unwrap(), ["+ sh -c 'exit 0'", "+ sh -c 'exit 1'"]);
}

#[test]
fn a_working_program_may_be_silent_for_longer() {
    let working = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let cmd = sh("echo works >&2; sleep 1; echo done >&2")
        .silence(Duration::from_millis(300))
        .silence_while(&working, Duration::from_secs(60));
    runner()
        .run_with(&cmd, &mut |_, line| working.store(line == "works", std::sync::atomic::Ordering::Relaxed))
        .unwrap();
    working.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(runner().run(&cmd), Err(ExecError::Silent { .. })));
}
