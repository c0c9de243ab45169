/* Running programs: output, input, exit statuses, limits, time. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <cmocka.h>

static void output_and_errors(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(4096);
    _cleanup_(buf_done) struct buf err = BUF_MAX(4096);
    struct process p = {
        .argv = ARGV("sh", "-c", "echo out; echo err >&2; exit 3"), .output = &out, .errors = &err,
    };
    assert_int_equal(process_run(&p), 3);
    assert_string_equal(buf_text(&out), "out\n");
    assert_string_equal(buf_text(&err), "err\n");
}

static void arguments_are_not_seen_by_a_shell(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(4096);
    struct process p = { .argv = ARGV("echo", "$HOME", "a b;c"), .output = &out };
    assert_int_equal(process_run(&p), 0);
    assert_string_equal(buf_text(&out), "$HOME a b;c\n");
}

static void input_of_any_size(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(4 << 20);
    size_t n = 1 << 20;
    _cleanup_(freep) char *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)('a' + i % 26);
    struct process p = { .argv = ARGV("cat"), .input = data, .input_size = n, .output = &out };
    assert_int_equal(process_run(&p), 0);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, data, n);
    /* one that reads nothing of it does not end us */
    struct process deaf = { .argv = ARGV("true"), .input = data, .input_size = n };
    assert_int_equal(process_run(&deaf), 0);
    struct process empty = { .argv = ARGV("cat"), .input = "", .output = &out };
    buf_clear(&out);
    assert_int_equal(process_run(&empty), 0);
    assert_int_equal(out.len, 0);
}

static void more_output_than_wanted(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(1000);
    struct process p = { .argv = ARGV("head", "-c", "300000", "/dev/zero"), .output = &out };
    assert_int_equal(process_run(&p), 0);
    assert_int_equal(buf_error(&out), -EFBIG);
    assert_true(out.len <= 1000);
}

static void what_is_not_there(void **state)
{
    (void)state;
    struct process none = { .argv = ARGV("there-is-no-such-program-here") };
    assert_int_equal(process_run(&none), -ENOENT);
    struct process dir = { .argv = ARGV("/tmp") };
    assert_int_equal(process_run(&dir), -EACCES);
    struct process ns = { .argv = ARGV("true"), .netns = "/run/netns/there-is-none-of-this-name" };
    assert_int_equal(process_run(&ns), -ENOENT);
}

static void time_is_up_for_the_whole_group(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(4096);
    usec_t begun = clock_mono();
    struct process p = {
        .argv = ARGV("sh", "-c", "sleep 60 & echo $!; wait"), .timeout = SECONDS(1) / 5, .output = &out,
    };
    assert_int_equal(process_run(&p), -ETIMEDOUT);
    assert_true(clock_mono() - begun < SECONDS(10));
    pid_t sleeper = (pid_t)strtol(buf_text(&out), NULL, 10);
    assert_true(sleeper > 1);
    /* It is killed, but its parent is gone: wait for whoever reaps it. */
    bool gone = false;
    for (int i = 0; i < 5000 && !gone; i++) {
        char path[64], state_of = 'X';
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)sleeper);
        FILE *f = fopen(path, "re");
        gone = !f || fscanf(f, "%*d (%*[^)]) %c", &state_of) != 1 || state_of == 'Z' || state_of == 'X';
        if (f)
            (void)fclose(f);
    }
    assert_true(gone);
}

static void closing_the_output_is_no_end(void **state)
{
    (void)state;
    struct process p = { .argv = ARGV("sh", "-c", "exec >&- 2>&-; exec sleep 60"), .timeout = SECONDS(1) / 10 };
    assert_int_equal(process_run(&p), -ETIMEDOUT);
}

static void a_signal_is_told(void **state)
{
    (void)state;
    struct process p = { .argv = ARGV("sh", "-c", "kill -9 $$") };
    assert_int_equal(process_run(&p), -ECHILD);
}

static void limits_hold(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(4096);
    struct process p = {
        .argv = ARGV("sh", "-c", "ulimit -v; ulimit -t; ulimit -c"), .output = &out,
        .limit_memory = (uint64_t)1 << 30, .limit_cpu_seconds = 7,
    };
    assert_int_equal(process_run(&p), 0);
    assert_string_equal(buf_text(&out), "1048576\n7\n0\n");
}

static void nothing_else_is_inherited(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf out = BUF_MAX(4096);
    int fd = open("/dev/null", O_RDONLY);       /* without O_CLOEXEC, as a library might */
    assert_true(fd > 2);
    (void)signal(SIGPIPE, SIG_IGN);
    struct process p = { .argv = ARGV("sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done; trap"), .output = &out };
    assert_int_equal(process_run(&p), 0);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)close(fd);
    /* 3 may be the shell's own for reading the folder */
    char line[16];
    (void)snprintf(line, sizeof(line), "\n%d\n", fd);
    if (fd > 3)
        assert_null(strstr(buf_text(&out), line));
    assert_true(str_starts(buf_text(&out), "0\n1\n2\n"));
}

static void spawned_goes_on(void **state)
{
    (void)state;
    int fds[2];
    pid_t pid;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct process p = { .argv = ARGV("sh", "-c", "echo here; exec sleep 60") };
    assert_int_equal(process_spawn(&p, fds[1], &pid), 0);
    char line[8] = "";
    assert_int_equal(read(fds[0], line, 5), 5);
    assert_string_equal(line, "here\n");
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(kill(pid, SIGTERM), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    (void)close(fds[0]);
    (void)close(fds[1]);
    struct process none = { .argv = ARGV("there-is-no-such-program-here") };
    assert_int_equal(process_spawn(&none, -1, &pid), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_errors), cmocka_unit_test(arguments_are_not_seen_by_a_shell),
        cmocka_unit_test(input_of_any_size), cmocka_unit_test(more_output_than_wanted),
        cmocka_unit_test(what_is_not_there), cmocka_unit_test(time_is_up_for_the_whole_group),
        cmocka_unit_test(closing_the_output_is_no_end), cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(limits_hold), cmocka_unit_test(nothing_else_is_inherited), cmocka_unit_test(spawned_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
