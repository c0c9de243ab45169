/*
 * The folder store: what is written is found under its hash, equal bytes are one file, a
 * write that is given up or meets a full disk leaves nothing, removal is safe for readers
 * and for equal uploads under way, and the sweep takes what nobody owns.
 */
#include "image/blob.h"

#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *const ABC_SHA512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                                      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

static unsigned files_count;

static int count_file(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)path;
    (void)st;
    (void)f;
    files_count += kind == FTW_F;
    return 0;
}

static unsigned count_files(const char *name)
{
    files_count = 0;
    assert_int_equal(nftw(files_path(name), count_file, 16, FTW_PHYS), 0);
    return files_count;
}

static struct blob_store *store_new(const char *name)
{
    struct blob_store *s;
    assert_int_equal(blob_dir_new("local", files_path(name), "a folder", false, &s), 0);
    return s;
}

static struct blob_info put(struct blob_store *s, const void *data, size_t n, size_t piece)
{
    _cleanup_(blob_abortp) struct blob_writer *w = NULL;
    assert_int_equal(blob_begin(s, n, &w), 0);
    for (size_t off = 0; off < n; off += piece)
        assert_int_equal(blob_write(w, (const char *)data + off, MIN(piece, n - off)), 0);
    assert_int_equal(blob_written(w), n);
    struct blob_info info;
    assert_int_equal(blob_finish(w, &info), 0);
    return info;
}

static int nobody(void *cookie, const char *key)
{
    (void)cookie;
    (void)key;
    return 0;
}

static int somebody(void *cookie, const char *key)
{
    return str_eq(cookie, key);
}

static void written_and_read(void **state)
{
    (void)state;
    struct blob_store *s = store_new("one");
    struct blob_info info = put(s, "abc", 3, 1);
    assert_string_equal(info.key, ABC_SHA512);
    assert_string_equal(info.md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_int_equal(info.size, 3);
    struct blob_info again = put(s, "abc", 3, 3);
    assert_string_equal(again.key, info.key);
    assert_int_equal(count_files("one"), 1);

    struct blob_reader r = {};
    assert_int_equal(blob_open(s, info.key, &r), 0);
    assert_int_equal(r.size, 3);
    char text[8] = "";
    assert_int_equal(blob_pread(&r, text, 8, 1), 2);
    assert_string_equal(text, "bc");

    /* Two uploads pinned it; then it goes, and the open reader still reads. */
    assert_int_equal(blob_collect(s, info.key, nobody, NULL), 0);
    blob_unpin(s, info.key);
    assert_int_equal(blob_collect(s, info.key, nobody, NULL), 0);
    assert_int_equal(count_files("one"), 1);
    blob_unpin(s, info.key);
    assert_int_equal(blob_collect(s, info.key, somebody, info.key), 0);
    assert_int_equal(count_files("one"), 1);
    assert_int_equal(blob_collect(s, info.key, nobody, NULL), 0);
    assert_int_equal(count_files("one"), 0);
    assert_int_equal(blob_pread(&r, text, 8, 0), 3);
    blob_close(&r);
    assert_int_equal(blob_open(s, info.key, &r), BLOB_MISSING);
    assert_int_equal(blob_open(s, "../../etc/passwd", &r), BLOB_MISSING);
    blob_store_free(s);
}

/* More than the ring of blocks, in odd pieces: the thread's hashes are those of one pass. */
static void large(void **state)
{
    (void)state;
    struct blob_store *s = store_new("large"), *to = store_new("large2");
    size_t n = (9u << 20) + 12345;
    _cleanup_(freep) char *data = malloc(n);
    assert_non_null(data);
    uint32_t x = 1;
    for (size_t k = 0; k < n; k++)
        data[k] = (char)((x = x * 1664525 + 1013904223) >> 24);
    struct blob_info odd = put(s, data, n, 70001);
    files_write("large.bin", data, n);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    const char *scratch;
    assert_int_equal(s->class->scratch(to, a, &scratch), 0);
    assert_int_equal(rename(files_path("large.bin"), scratch), 0);
    struct blob_info whole;
    assert_int_equal(to->class->adopt(to, scratch, &whole), 0);
    assert_string_equal(odd.key, whole.key);
    assert_string_equal(odd.md5, whole.md5);
    assert_int_equal(whole.size, n);
    blob_unpin(to, whole.key);
    assert_int_equal(blob_collect(to, whole.key, nobody, NULL), 0);
    assert_int_equal(count_files("large2"), 0);

    struct blob_info copied;
    assert_int_equal(blob_copy(s, odd.key, to, &copied), 0);
    assert_string_equal(copied.key, odd.key);
    assert_int_equal(count_files("large2"), 1);
    /* A source that no longer is what its name says is not copied. */
    char part[200];
    snprintf(part, sizeof(part), "large/blobs/%.2s/%s", odd.key, odd.key);
    files_patch(part, 5000000, "spoilt", 6);
    assert_int_equal(blob_copy(s, odd.key, to, &copied), -EBADMSG);
    blob_store_free(s);
    blob_store_free(to);
}

static void given_up(void **state)
{
    (void)state;
    struct blob_store *s = store_new("aborted");
    static char data[3 << 20];
    struct blob_writer *w;
    assert_int_equal(blob_begin(s, 0, &w), 0);
    assert_int_equal(blob_write(w, data, sizeof(data)), 0);
    assert_int_equal(count_files("aborted"), 1);
    blob_abort(w);
    assert_int_equal(count_files("aborted"), 0);
    blob_store_free(s);
}

static void full(void **state)
{
    (void)state;
    struct blob_store *s = store_new("full");
    struct blob_writer *w = NULL;
    assert_int_equal(blob_begin(s, (uint64_t)1 << 60, &w), BLOB_FULL);
    assert_null(w);
    static char data[3 << 20];
    struct rlimit old, tight = { 2 << 20, RLIM_INFINITY };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight.rlim_max = old.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(blob_begin(s, 0, &w), 0);
    int r = blob_write(w, data, sizeof(data));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(r, BLOB_FULL);
    blob_abort(w);
    assert_int_equal(count_files("full"), 0);
    blob_store_free(s);
}

static void swept(void **state)
{
    (void)state;
    struct blob_store *s = store_new("swept");
    struct blob_info kept = put(s, "abc", 3, 3), gone = put(s, "abd", 3, 3);
    blob_unpin(s, kept.key);
    blob_unpin(s, gone.key);
    files_write("swept/tmp/dead.part", "x", 1);
    struct blob_writer *busy;
    assert_int_equal(blob_begin(s, 0, &busy), 0);
    unsigned n;
    assert_int_equal(s->class->sweep(s, HOURS(1), somebody, kept.key, &n), 0);
    assert_int_equal(n, 0);
    clock_fake(clock_wall() + MINUTES(1));
    assert_int_equal(s->class->sweep(s, HOURS(1), somebody, kept.key, &n), 0);
    assert_int_equal(n, 1); /* the dead writer's file, not the living one's */
    clock_fake(clock_wall() + HOURS(2));
    assert_int_equal(s->class->sweep(s, HOURS(1), somebody, kept.key, &n), 0);
    assert_int_equal(n, 1);
    blob_abort(busy);
    assert_int_equal(count_files("swept"), 1);
    clock_real();
    blob_store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(large),
        cmocka_unit_test(given_up),
        cmocka_unit_test(full),
        cmocka_unit_test(swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
