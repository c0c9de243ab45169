/*
 * Copies and checks, each on a connection of its own, while the store is in use.
 *
 * A copy is made in one read transaction: writers go on meanwhile, and what they write is not in
 * it. It appears under its name only when it is whole and on the disk.
 */
#include "store/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void sqlite_closep(sqlite3 **db)
{
    (void)sqlite3_close(*db);
}

static int copy_to(struct connection *c, const char *path)
{
    _cleanup_(sqlite_closep) sqlite3 *to = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return sqlite_errno(to, rc);
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", c->db, "main");
    if (!backup)
        return sqlite_errno(to, sqlite3_errcode(to));
    rc = sqlite3_backup_step(backup, -1);
    int end = sqlite3_backup_finish(backup);
    if (rc == SQLITE_DONE)
        rc = end;
    return rc == SQLITE_OK ? 0 : sqlite_errno(to, rc);
}

static int sync_folder(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    (void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    _cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int store_backup(struct store *s, const char *path)
{
    char part[4096];
    if ((size_t)snprintf(part, sizeof(part), "%s.part", path) >= sizeof(part))
        return -ENAMETOOLONG;
    if (access(path, F_OK) == 0)
        return -EEXIST;
    (void)unlink(part);
    _cleanup_(closep) int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    struct connection *c;
    int r = connection_open(s, ROLE_READER, &c);
    if (r == 0) {
        r = copy_to(c, part);
        connection_close(c);
    }
    if (r == 0 && (fsync(fd) < 0 || link(part, path) < 0))
        r = -errno;
    (void)unlink(part);
    return r < 0 ? r : sync_folder(path);
}

static int check_with(struct connection *c, const char *sql, const char *good, struct buf *found)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, sql, &stmt);
    if (r < 0)
        return r;
    while ((r = statement_row(c, stmt)) > 0) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        if (text && !STREQ(text, good))
            buf_printf(found, "%s%s", found->len ? "; " : "", text);
    }
    return r;
}

/* Keys whose object is gone would hide a name for ever. */
static int check_keys(struct store *s, struct connection *c, struct buf *found)
{
    int r = 0;
    for (size_t i = 0; i < s->n_tables && r == 0; i++) {
        const struct table *t = s->tables[i];
        _cleanup_(buf_done) struct buf sql = BUF_MAX(4096);
        buf_printf(&sql, "SELECT 'key '||name||' of '||id||' without its object' FROM keys WHERE kind=%d AND id NOT IN "
                   "(SELECT id FROM ", t->number);
        sql_name(&sql, t->kind->name);
        buf_adds(&sql, ") LIMIT 3");
        r = buf_error(&sql) ? buf_error(&sql) : check_with(c, buf_text(&sql), "", found);
    }
    return r;
}

int store_check(struct store *s, struct fault *fault)
{
    struct connection *c;
    _cleanup_(buf_done) struct buf found = BUF_MAX(65536);
    int r = connection_open(s, ROLE_READER, &c);
    if (r < 0)
        return r;
    r = check_with(c, "PRAGMA integrity_check(20)", "ok", &found);
    if (r == 0)
        r = check_keys(s, c, &found);
    connection_close(c);
    if (r == -EUCLEAN)
        return fault_set(fault, 0, "store", "the file is damaged");
    if (r < 0)
        return r;
    return found.len ? fault_set(fault, 0, "store", "%s", buf_text(&found)) : 0;
}
