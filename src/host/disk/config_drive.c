/*
 * ISO 9660 with Joliet and Rock Ridge, by libarchive.
 *
 * The label must read "config-2" to the letter: guests look for that name. libarchive
 * writes it so in the Joliet descriptor, but folds it to capitals in the primary one, which
 * small guests read; so that one is set right afterwards.
 */
#include "host/disk/config_drive.h"

#include "base/buf.h"
#include "base/effect.h"
#include "host/metadata_doc.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>

static const char LABEL[] = "config-2";
/* The primary volume descriptor is sector 16; its volume id is 32 bytes from byte 40 on. */
static const off_t LABEL_AT = 16 * 2048 + 40;

static void archive_freep(struct archive **a)
{
    if (*a)
        archive_write_free(*a);
}

static int add(struct archive *ar, const char *path, const struct buf *text, usec_t when)
{
    if (buf_error(text))
        return buf_error(text);
    struct archive_entry *e = archive_entry_new();
    if (!e)
        return -ENOMEM;
    archive_entry_set_pathname(e, path);
    archive_entry_set_size(e, (la_int64_t)text->len);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, (time_t)(when / 1000000), 0);
    int r = archive_write_header(ar, e) == ARCHIVE_OK ? 0 : -EIO;
    if (r == 0 && text->len && archive_write_data(ar, text->data, text->len) != (la_ssize_t)text->len)
        r = -EIO;
    archive_entry_free(e);
    return r;
}

static int fill(struct archive *ar, const struct server_spec *s)
{
    static const struct {
        const char *path;
        void (*render)(const struct server_spec *, struct buf *);
    } DOCS[] = {
        { "ec2/latest/meta-data.json", metadata_ec2_json },
        { "openstack/latest/meta_data.json", metadata_meta_data },
        { "openstack/latest/network_data.json", metadata_network_data },
        { "openstack/latest/vendor_data.json", metadata_vendor_data },
        { "openstack/latest/vendor_data2.json", metadata_vendor_data2 },
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(DOCS); i++) {
        _cleanup_(buf_done) struct buf text = BUF_MAX(8 << 20);
        DOCS[i].render(s, &text);
        r = add(ar, DOCS[i].path, &text, s->created_at);
    }
    _cleanup_(buf_done) struct buf user = BUF_MAX(8 << 20);
    if (r == 0 && metadata_user_data(s, &user)) {
        r = add(ar, "openstack/latest/user_data", &user, s->created_at);
        if (r == 0)
            r = add(ar, "ec2/latest/user-data", &user, s->created_at);
    }
    for (size_t i = 0; r == 0 && i < s->personality.n; i++) {
        _cleanup_(buf_done) struct buf file = BUF_MAX(8 << 20);
        char path[48];
        snprintf(path, sizeof(path), "openstack/content/%04zu", i);
        if (metadata_content(s, i, &file))
            r = add(ar, path, &file, s->created_at);
    }
    return r;
}

int config_drive_write(const struct server_spec *s, const char *path)
{
    int r = effect("disk.config_drive");
    if (r < 0)
        return r;
    _cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    _cleanup_(archive_freep) struct archive *ar = archive_write_new();
    if (!ar)
        return -ENOMEM;
    if (archive_write_set_format_iso9660(ar) != ARCHIVE_OK ||
        archive_write_set_option(ar, "iso9660", "volume-id", LABEL) != ARCHIVE_OK ||
        archive_write_set_option(ar, "iso9660", "publisher", "Yunduo") != ARCHIVE_OK ||
        archive_write_open_fd(ar, fd) != ARCHIVE_OK)
        return -EIO;
    r = fill(ar, s);
    if (r == 0 && archive_write_close(ar) != ARCHIVE_OK)
        r = -EIO;
    if (r < 0)
        return r;
    char label[32];
    memset(label, ' ', sizeof(label));
    memcpy(label, LABEL, strlen(LABEL));
    if (pwrite(fd, label, sizeof(label), LABEL_AT) != sizeof(label) || fsync(fd) < 0)
        return -errno;
    return 0;
}
