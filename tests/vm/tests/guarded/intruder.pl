# Somebody took over the process whose place this program is in: tries what that process may not do, by the numbers
# of Linux on x86-64, and prints what came of each. Argument: the process id of a stranger.
my $stranger = shift;
sub report {
    my ($what, $done) = @_;
    my $error = $! + 0;
    print "$what ", ($done ? "done" : $error), "\n";
}
report("shadow", open(my $shadow, "<", "/etc/shadow"));
report("config", open(my $config, ">>", "/etc/keepalived/keepalived.conf"));
report("plant", open(my $program, ">", "/usr/local/sbin/planted"));
my $child = fork();
if (!$child) {
    exec { "/bin/sh" } "sh", "-c", "exit 0";
    exit($! + 0);
}
waitpid($child, 0);
$! = $? >> 8;
report("shell", $? == 0);
for (["raw", 2, 3, 1], ["packet", 17, 3, 0], ["stream", 2, 1, 0], ["datagram", 2, 2, 0], ["netlink", 16, 3, 0]) {
    my ($name, @socket) = @$_;
    report($name, syscall(41, @socket) >= 0);
}
my ($none, $directory, $type) = ("none\0", "/mnt\0", "tmpfs\0");
report("mount", syscall(165, $none, $directory, $type, 0, 0) == 0);
# The kernel reads the image only when a module may be loaded: then it says ENOEXEC.
my ($module, $empty) = ("no module\0", "\0");
report("module", syscall(175, $module, length($module), $empty) == 0 || $! == 8);
report("signal", kill(18, $stranger) == 1);
report("trace", syscall(101, 16, $stranger, 0, 0) == 0);
