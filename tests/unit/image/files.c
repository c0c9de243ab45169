/* See the header. */
#include "files.h"

#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static char folder[64];

static int drop(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    (void)remove(path);
    return 0;
}

static void folder_drop(void)
{
    (void)nftw(folder, drop, 16, FTW_DEPTH | FTW_PHYS);
}

const char *files_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof(folder), "/tmp/yunduo-image-XXXXXX");
        assert_non_null(mkdtemp(folder));
        atexit(folder_drop);
    }
    return folder;
}

const char *files_path(const char *name)
{
    static char paths[8][320];
    static unsigned turn;
    char *p = paths[turn++ % 8];
    snprintf(p, sizeof(paths[0]), "%s/%s", files_folder(), name);
    return p;
}

void files_write(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(files_path(name), "we");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

char *files_read(const char *name, size_t *ret_n)
{
    FILE *f = fopen(files_path(name), "re");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(n + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    *ret_n = n;
    return data;
}

void files_patch(const char *name, long off, const void *data, size_t n)
{
    int fd = open(files_path(name), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, n, off), n);
    (void)close(fd);
}

void files_qemu_img(const char *const *words)
{
    const char *argv[24] = {};
    for (size_t k = 0; words[k]; k++)
        argv[k] = words[k][0] == '@' ? files_path(words[k] + 1) : words[k];
    _cleanup_(buf_done) struct buf errors = BUF_MAX(8192);
    struct process p = { .argv = argv, .errors = &errors };
    int r = process_run(&p);
    if (r != 0)
        fail_msg("qemu-img %s: %d %s", words[1], r, buf_text(&errors));
}

size_t files_tar_add(char *out, size_t n, size_t cap, const char *name, const void *data, size_t size)
{
    size_t padded = (size + 511) / 512 * 512;
    assert_true(n + 512 + padded <= cap);
    char *h = out + n;
    memset(h, 0, 512 + padded);
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "%07o", 0644);
    snprintf(h + 124, 12, "%011zo", size);
    h[156] = '0';
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (int k = 0; k < 512; k++)
        sum += (unsigned char)h[k];
    snprintf(h + 148, 8, "%06o", sum);
    if (size)
        memcpy(h + 512, data, size);
    return n + 512 + padded;
}
