//! One guest: booted, watched, and killed when dropped.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::process::Process;
use tempfile::TempDir;

use super::{Guard, modules, quoted};

/// The emulator.
const QEMU: &str = "qemu-system-x86_64";

/// Longest time from the start of the emulator to the first line of the command.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// Pause between two looks at what the guest wrote.
const PAUSE: Duration = Duration::from_millis(50);

/// Kernel settings: no time lost on mitigations, a steady clock, quiet.
const KERNEL_LINE: &str = "console=ttyS0 loglevel=3 panic=1 nokaslr mitigations=off tsc=reliable clocksource=tsc \
                           random.trust_cpu=on";

/// A running guest.
#[derive(Debug)]
pub(crate) struct Guest {
    qemu: Process,
    directory: TempDir,
    started: Instant,
}

impl Guest {
    /// Starts the emulator; the guest runs `script` in the directory of this program and then ends.
    pub(super) fn boot(
        kernel: &Path,
        initramfs: &[u8],
        guard: Guard,
        script: &str,
    ) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = |name: &str| directory.path().join(name);
        let mut image = initramfs.to_vec();
        image.extend(modules::command(&whole_script(script)?));
        fs::write(file("initramfs"), image)?;
        // The emulator must not outlive this program, whatever ends it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", QEMU]);
        command.args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-M",
            "q35,hpet=off",
            "-smp",
            "2",
        ]);
        command.args([
            "-m",
            "1024",
            "-nodefaults",
            "-nic",
            "none",
            "-display",
            "none",
            "-no-reboot",
        ]);
        command
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(file("initramfs"));
        command.args([
            "-append",
            &format!("{KERNEL_LINE} {}", guard.kernel_words()),
        ]);
        command.args([
            "-fsdev",
            "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
        ]);
        command.args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]);
        command.args(["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]);
        command
            .arg("-serial")
            .arg(format!("file:{}", file("console").display()));
        for (number, name) in [(1, "output"), (2, "status")] {
            let path = file(name);
            fs::write(&path, "")?;
            command
                .arg("-chardev")
                .arg(format!("file,id={name},path={}", path.display()));
            command.arg("-device").arg(format!(
                "virtserialport,chardev={name},name={name},nr={number}"
            ));
        }
        let qemu = Process::spawn(&mut command, &file("qemu"))?;
        Ok(Self {
            qemu,
            directory,
            started: Instant::now(),
        })
    }

    /// Waits for the script's end.
    pub(super) fn wait(mut self, limit: Duration, sink: &mut dyn FnMut(&[u8])) -> io::Result<i32> {
        let mut output = File::open(self.directory.path().join("output"))?;
        let mut fresh = Vec::new();
        loop {
            let ended = self.qemu.exited().is_some();
            let status = fs::read_to_string(self.directory.path().join("status"))?;
            fresh.clear();
            output.read_to_end(&mut fresh)?;
            if !fresh.is_empty() {
                sink(&fresh);
            }
            let elapsed = self.started.elapsed();
            if let Some(code) = status.lines().find_map(|line| line.strip_prefix("exit ")) {
                return code.parse().map_err(io::Error::other);
            }
            if ended {
                return Err(self.failure("the guest ended without a result"));
            }
            if status.is_empty() && elapsed > BOOT_LIMIT {
                return Err(self.failure("the guest did not boot in 90 s"));
            }
            if elapsed > limit {
                return Err(self.failure(&format!("the command had not ended after {limit:?}")));
            }
            sleep(PAUSE);
        }
    }

    /// An error with what the emulator and the guest's kernel said last.
    fn failure(&self, what: &str) -> io::Error {
        let said = fs::read(self.directory.path().join("console")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.len().saturating_sub(20);
        let last = lines.get(last..).unwrap_or_default().join("\n");
        io::Error::other(format!("lab: {what}\n{}{last}", self.qemu.log()))
    }
}

/// The guest's first program after its root is there: finds its two ports, runs the script, ends the guest.
fn whole_script(script: &str) -> io::Result<String> {
    let directory = env::current_dir()?;
    let path = env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    Ok(format!(
        "for port in /sys/class/virtio-ports/*; do\n\
         read -r name <$port/name; eval \"$name=/dev/${{port##*/}}\"\n\
         done\n\
         echo booted >$status\n\
         export PATH={} HOME=/root KR_LAB=1\n\
         ulimit -n 65536\n\
         cd {} || exit 1\n\
         ( {script}\n) </dev/null >$output 2>&1\n\
         echo exit $? >$status\n\
         /bin/busybox poweroff -f\n",
        quoted([path.as_str()]),
        quoted([directory.to_string_lossy().as_ref()]),
    ))
}
