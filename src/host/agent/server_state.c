/* The small file of what was done for one server: see server_job.h. */
#include "host/agent/server_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define AT(member) offsetof(struct server_done, member)

static const struct field TASK_FIELDS[] = {
    { "id", FIELD_STRING, offsetof(struct observed_task, id), 0 },
    { "kind", FIELD_STRING, offsetof(struct observed_task, kind), 0 },
    { "state", FIELD_STRING, offsetof(struct observed_task, state), 0 },
    { "message", FIELD_STRING, offsetof(struct observed_task, message), 0 },
    { "size_bytes", FIELD_INT, offsetof(struct observed_task, size_bytes), 0 },
};
static SCHEMA(TASK_SCHEMA, struct observed_task, TASK_FIELDS);

static const struct field ROWS[] = {
    FIELD_ID(struct server_done),
    { "reboot_soft", FIELD_INT, AT(reboot_soft), 0 },
    { "reboot_hard", FIELD_INT, AT(reboot_hard), 0 },
    { "rebuild", FIELD_INT, AT(rebuild), 0 },
    { "password", FIELD_INT, AT(password), 0 },
    { "nmi", FIELD_INT, AT(nmi), 0 },
    { "resize", FIELD_INT, AT(resize), 0 },
    { "power", FIELD_STRING, AT(power), 0 },
    { "boot_id", FIELD_STRING, AT(boot_id), 0 },
    { "rescue", FIELD_BOOL, AT(rescue), 0 },
    { "launched_at", FIELD_TIME, AT(launched_at), 0 },
    { "tasks", FIELD_OBJECTS, AT(tasks), 0, .sub = &TASK_SCHEMA },
};
SCHEMA(SERVER_DONE_SCHEMA, struct server_done, ROWS);

static const char *path_of(struct arena *a, const char *dir, const char *id)
{
    return arena_printf(a, "%s/%s.json", dir, id);
}

static int read_all(const char *path, struct buf *out)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (;;) {
        char *at = buf_reserve(out, 4096);
        ssize_t n = at ? read(fd, at, 4096) : -1;
        if (n <= 0)
            return n == 0 ? 0 : at ? -errno : buf_error(out);
        out->len += (size_t)n;
        out->data[out->len] = 0;
    }
}

int server_state_load(const char *dir, const char *id, struct arena *a, struct server_done *ret, bool *ret_known)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    *ret_known = false;
    int r = read_all(path_of(a, dir, id), &b);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    char why[128];
    _cleanup_(json_decrefp) json_t *tree = json_parse(buf_text(&b), b.len, why, sizeof(why));
    struct decode_error e;
    if (!tree || schema_decode(&SERVER_DONE_SCHEMA, tree, DECODE_STORED, 0, a, ret, NULL, &e) != 0)
        return 0;           /* a torn file (it is replaced whole, so: somebody's hand) says nothing */
    *ret_known = true;
    return 0;
}

int server_state_save(const char *dir, const struct server_done *s, struct arena *a)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    struct json_out o = JSON_OUT(&b);
    struct encode_options opt = { .stored = true };
    schema_encode(&SERVER_DONE_SCHEMA, s, &opt, &o);
    const char *path = path_of(a, dir, s->head.id);
    const char *fresh = arena_printf(a, "%s.new", path);
    if (buf_error(&b) || arena_failed(a))
        return -ENOMEM;
    _cleanup_(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, buf_text(&b), b.len) != (ssize_t)b.len)
        return -EIO;
    /* Lost with the power, it says less than was done: the deed is repeated, which does no harm. */
    return rename(fresh, path) < 0 ? -errno : 0;
}

void server_state_forget(const char *dir, const char *id, struct arena *a)
{
    const char *path = path_of(a, dir, id);
    if (path)
        (void)unlink(path);
}
