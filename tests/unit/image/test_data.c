/*
 * Bytes over HTTP: upload, download, ranges, what is refused, uploads that are cut short,
 * import by every method, stores, cache, signatures, the agents' door.
 */
#include "files.h"
#include "world.h"

#include "base/effect.h"
#include "base/process.h"
#include "image/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static struct world *w;

#define RAW "{\"disk_format\":\"raw\",\"container_format\":\"bare\"}"
#define QCOW2 "{\"disk_format\":\"qcow2\",\"container_format\":\"bare\"}"

static const char *path(const char *id, const char *rest)
{
    return arena_printf(w->arena, "/image/v2/images/%s%s", id, rest);
}

static int drop_image(const char *token, const char *id)
{
    return world_call(w, token, "DELETE", path(id, ""), NULL, NULL, 0);
}

static void assert_status(const char *id, const char *status)
{
    assert_int_equal(world_get(w, ADMIN, path(id, "")), 200);
    assert_string_equal(world_text(w, "status"), status);
}

/* Bytes go after the record that used them has: it may take a moment. */
static void assert_files(const char *part, unsigned n)
{
    usec_t until = clock_mono() + SECONDS(10);
    while (world_files(w, part) != n && clock_mono() < until)
        ;
    assert_int_equal(world_files(w, part), n);
}

static int upload_file(const char *id, const char *name)
{
    size_t n;
    _cleanup_(freep) char *data = files_read(name, &n);
    return world_upload(w, ALICE, id, data, n);
}

static void up_and_down(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, RAW), *twin = world_image(w, BOB, RAW);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 204);
    assert_int_equal(world_call(w, ALICE, "PUT", path(id, "/file"), "text/html", "x", 1), 415);
    assert_int_equal(world_upload(w, BOB, id, "abc", 3), 404);
    assert_int_equal(world_upload(w, ALICE, id, "abc", 3), 204);
    assert_int_equal(world_upload(w, ALICE, id, "abc", 3), 409);
    assert_int_equal(world_get(w, ALICE, path(id, "")), 200);
    assert_string_equal(world_text(w, "status"), "active");
    assert_int_equal(json_get_int(w->json, "size", 0), 3);
    assert_string_equal(world_text(w, "checksum"), "900150983cd24fb0d6963f7d28e17f72");
    assert_string_equal(world_text(w, "os_hash_algo"), "sha512");
    assert_string_equal(world_text(w, "stores"), "fast");
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_string_equal(buf_text(&w->body), "abc");
    assert_string_equal(strmap_get(&w->reply.headers, "content-md5"), "900150983cd24fb0d6963f7d28e17f72");
    /* Equal bytes are one file, until the last of them goes. */
    assert_int_equal(world_upload(w, BOB, twin, "abc", 3), 204);
    assert_files("/blobs/", 1);
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_files("/blobs/", 1);
    assert_int_equal(world_get(w, BOB, path(twin, "/file")), 200);
    assert_int_equal(drop_image(BOB, twin), 204);
    assert_files("/blobs/", 0);
    const char *bare = world_image(w, ALICE, "{}");
    assert_int_equal(world_upload(w, ALICE, bare, "abc", 3), 400);
    assert_int_equal(drop_image(ALICE, bare), 204);
}

static int get_range(const char *id, const char *range)
{
    buf_clear(&w->body);
    struct http_call call = { .into = &w->body };
    call.url =
        arena_printf(w->arena, "http://127.0.0.1:%u%s", http_server_port(w->server), path(id, "/file"));
    strmap_set(w->arena, &call.headers, "X-Auth-Token", ALICE);
    strmap_set(w->arena, &call.headers, "Range", range);
    assert_int_equal(http_client_call(w->client, &call, w->arena, &w->reply), 0);
    return w->reply.status;
}

static void ranges(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, RAW);
    assert_int_equal(world_upload(w, ALICE, id, "0123456789", 10), 204);
    assert_int_equal(get_range(id, "bytes=2-4"), 206);
    assert_string_equal(buf_text(&w->body), "234");
    assert_string_equal(strmap_get(&w->reply.headers, "content-range"), "bytes 2-4/10");
    assert_int_equal(get_range(id, "bytes=-3"), 206);
    assert_string_equal(buf_text(&w->body), "789");
    assert_int_equal(get_range(id, "bytes=7-"), 206);
    assert_string_equal(buf_text(&w->body), "789");
    assert_int_equal(get_range(id, "bytes=20-"), 416);
    assert_int_equal(world_call(w, ALICE, "POST", path(id, "/actions/deactivate"), NULL, NULL, 0), 204);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 403);
    assert_int_equal(world_get(w, ADMIN, path(id, "/file")), 200);
    assert_int_equal(world_call(w, ALICE, "POST", path(id, "/actions/reactivate"), NULL, NULL, 0), 204);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_int_equal(drop_image(ALICE, id), 204);
}

/* Larger than any buffer; the bytes come back as they went. */
static void large(void **state)
{
    (void)state;
    size_t n = (5u << 20) + 77;
    _cleanup_(freep) char *data = malloc(n);
    assert_non_null(data);
    for (size_t k = 0; k < n; k++)
        data[k] = (char)(k * 2654435761u >> 13);
    const char *id = world_image(w, ALICE, RAW);
    assert_int_equal(world_upload(w, ALICE, id, data, n), 204);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_int_equal(w->body.len, n);
    assert_memory_equal(w->body.data, data, n);
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_files("/fast/", 0);
}

static void refused(void **state)
{
    (void)state;
    QEMU_IMG("create", "-q", "-f", "qcow2", "@good.qcow2", "64M");
    QEMU_IMG("create", "-q", "-f", "raw", "@base.raw", "1M");
    QEMU_IMG("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "@base.raw", "@evil.qcow2", "1M");
    const char *id = world_image(w, ALICE, RAW);
    assert_int_equal(upload_file(id, "good.qcow2"), 400);
    assert_status(id, "queued");
    assert_int_equal(upload_file(id, "evil.qcow2"), 400);
    assert_int_equal(drop_image(ALICE, id), 204);
    id = world_image(w, ALICE, QCOW2);
    assert_int_equal(world_upload(w, ALICE, id, "just words", 10), 400);
    assert_int_equal(upload_file(id, "evil.qcow2"), 400);
    assert_non_null(strstr(buf_text(&w->body), "backing file"));
    assert_status(id, "queued");
    assert_files("/fast/", 0);
    assert_int_equal(upload_file(id, "good.qcow2"), 204);
    assert_int_equal(world_get(w, ALICE, path(id, "")), 200);
    assert_int_equal(json_get_int(w->json, "virtual_size", 0), 64 << 20);
    assert_int_equal(drop_image(ALICE, id), 204);
}

/* A client that goes away in the middle: queued again, and no file. */
static void cut_short(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, RAW);
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(w->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    const char *head = arena_printf(w->arena,
                                    "PUT %s HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Type: "
                                    "application/octet-stream\r\nContent-Length: 1000000\r\n\r\n",
                                    path(id, "/file"), ALICE);
    assert_int_equal(write(fd, head, strlen(head)), strlen(head));
    static char piece[200000];
    assert_true(write(fd, piece, sizeof(piece)) > 0);
    world_wait(w, ALICE, id, "saving");
    assert_int_equal(world_upload(w, ALICE, id, "abc", 3), 409);
    (void)close(fd);
    world_wait(w, ALICE, id, "queued");
    assert_files("/fast/", 0);
    assert_int_equal(world_upload(w, ALICE, id, "abc", 3), 204);
    assert_int_equal(drop_image(ALICE, id), 204);
}

/* Each step fails once: the image is whole or queued, and no file is without an owner. */
static void any_step_fails(void **state)
{
    (void)state;
    bool fired = true;
    for (int n = 1; fired; n++) {
        assert_true(n < 100);
        const char *id = world_image(w, ALICE, RAW);
        effect_fail_at(n, -EIO);
        int status = world_upload(w, ALICE, id, "abcdef", 6);
        fired = effect_fired();
        effect_fail_at(0, 0);
        if (status != 204 && !(fired && status == 500))
            fail_msg("step %d: %d", n, status);
        assert_status(id, status == 204 ? "active" : "queued");
        assert_files("/fast/", status == 204);
        if (status != 204)
            assert_int_equal(world_upload(w, ALICE, id, "abcdef", 6), 204);
        assert_int_equal(drop_image(ALICE, id), 204);
        assert_files("/fast/", 0);
    }
}

static void limits(void **state)
{
    (void)state;
    static char data[300 << 10];
    w->config.image_size_max = 100 << 10; /* not seen: the service has its own copy */
    const char *id = world_image(w, "carol/p-quota/member,reader", RAW);
    assert_int_equal(world_upload(w, "carol/p-quota/member,reader", id, data, sizeof(data)), 204);
    assert_int_equal(world_get(w, "carol/p-quota/member,reader", "/image/v2/info/usage"), 200);
    json_t *size = json_get_object(json_get_object(w->json, "usage"), "image_size_total");
    assert_int_equal(json_get_int(size, "usage", -1), 1);
    assert_int_equal(json_get_int(size, "limit", 0), 8);
    assert_int_equal(drop_image(ADMIN, id), 204);
    size_t n = 9u << 20; /* beyond the project's 8 MiB */
    _cleanup_(freep) char *big = calloc(1, n);
    id = world_image(w, ALICE, RAW);
    assert_int_equal(world_upload(w, ALICE, id, big, n), 413);
    assert_status(id, "queued");
    assert_files("/fast/", 0);
    assert_int_equal(drop_image(ALICE, id), 204);
}

static void configure_locations(struct world *x)
{
    x->config.image_locations = true;
    x->config.web_download_private = true;
}

static void stage(const char *id, const void *data, size_t n)
{
    assert_int_equal(world_call(w, ALICE, "PUT", path(id, "/stage"), "application/octet-stream", data, n),
                     204);
    assert_status(id, "uploading");
}

static void import_staged(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, RAW);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{\"method\":{\"name\":\"glance-direct\"}}"),
                     409);
    stage(id, "abc", 3);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{\"method\":{\"name\":\"none\"}}"), 400);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{}"), 400);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"),
                                "{\"method\":{\"name\":\"glance-direct\"},\"stores\":[\"none\"]}"),
                     409);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"),
                                "{\"method\":{\"name\":\"glance-direct\"},\"all_stores\":true}"),
                     202);
    const char *request = arena_strdup(w->arena, strmap_get(&w->reply.headers, "x-openstack-request-id"));
    world_wait(w, ALICE, id, "active");
    assert_string_equal(world_text(w, "stores"), "fast,slow");
    assert_string_equal(world_text(w, "checksum"), "900150983cd24fb0d6963f7d28e17f72");
    assert_string_equal(world_text(w, "os_glance_importing_to_stores"), "");
    assert_files("/blobs/", 2);
    assert_int_equal(world_get(w, ALICE, path(id, "/tasks")), 200);
    json_t *task = json_array_get(json_get_array(w->json, "tasks"), 0);
    assert_string_equal(json_get_string(task, "status"), "success");
    assert_string_equal(json_get_string(task, "request_id"), request);
    assert_int_equal(
        world_call(w, ADMIN, "DELETE", arena_printf(w->arena, "/image/v2/stores/fast/%s", id), NULL, NULL, 0),
        204);
    assert_files("/blobs/", 1);
    assert_int_equal(
        world_call(w, ADMIN, "DELETE", arena_printf(w->arena, "/image/v2/stores/slow/%s", id), NULL, NULL, 0),
        403);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_int_equal(world_post(w, ADMIN, path(id, "/import"),
                                "{\"method\":{\"name\":\"copy-image\"},\"all_stores\":true}"),
                     202);
    world_wait(w, ALICE, id, "active");
    assert_string_equal(world_text(w, "stores"), "fast,slow");
    assert_files("/blobs/", 2);
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_files("/blobs/", 0);
}

static void import_refused(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, QCOW2);
    stage(id, "no qcow2", 8);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{\"method\":{\"name\":\"glance-direct\"}}"),
                     202);
    world_wait(w, ALICE, id, "queued");
    assert_string_equal(world_text(w, "os_glance_failed_import"), "fast");
    assert_files("/blobs/", 0);
    assert_int_equal(world_get(w, ALICE, path(id, "/tasks")), 200);
    json_t *task = json_array_get(json_get_array(w->json, "tasks"), 0);
    assert_string_equal(json_get_string(task, "status"), "failure");
    assert_non_null(strstr(json_get_string(task, "message"), "declared as qcow2"));
    assert_int_equal(drop_image(ALICE, id), 204);
}

static int web(const char *id, const char *url)
{
    return world_post(w, ALICE, path(id, "/import"),
                      arena_printf(w->arena, "{\"method\":{\"name\":\"web-download\",\"uri\":\"%s\"}}", url));
}

static void web_download(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "file:///etc/passwd",
        "ftp://example.org/x",
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://example.org:22/",
        "http://user@example.org/",
        "http://[::ffff:10.0.0.1]/",
        "",
    };
    const char *id = world_image(w, ALICE, RAW), *source = world_image(w, ALICE, RAW);
    for (size_t k = 0; k < ARRAY_SIZE(BAD); k++)
        if (web(id, BAD[k]) != 400)
            fail_msg("%s: %d", BAD[k], w->reply.status);
    assert_status(id, "queued");
    /* From ourselves: 127.0.0.0/8 and our port are allowed in this world. */
    const char *base = arena_printf(w->arena, "http://127.0.0.1:%u", http_server_port(w->server));
    assert_int_equal(web(id, arena_printf(w->arena, "%s/healthcheck-that-is-not-there", base)), 202);
    world_wait(w, ALICE, id, "queued");
    assert_string_equal(world_text(w, "os_glance_failed_import"), "fast");
    assert_int_equal(web(id, arena_printf(w->arena, "%s/image/versions", base)), 202);
    world_wait(w, ALICE, id, "active");
    assert_true(json_get_int(w->json, "size", 0) > 100);
    assert_string_equal(world_text(w, "os_glance_failed_import"), "");
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_int_equal(drop_image(ALICE, source), 204);
    assert_files("/blobs/", 0);
}

/* An image by URL: served from there, and judged like any other. */
static void located(void **state)
{
    (void)state;
    struct world *plain = w;
    w = world_new("located", configure_locations);
    const char *id = world_image(w, ALICE, RAW);
    const char *base = arena_printf(w->arena, "http://127.0.0.1:%u", http_server_port(w->server));
    const char *patch =
        arena_printf(w->arena,
                     "[{\"op\":\"add\",\"path\":\"/locations/-\",\"value\":{\"url\":\"%s/image/versions\","
                     "\"metadata\":{\"a\":\"b\"}}}]",
                     base);
    assert_int_equal(world_call(w, ALICE, "PATCH", path(id, ""),
                                "application/openstack-images-v2.1-json-patch", patch, strlen(patch)),
                     200);
    assert_string_equal(world_text(w, "status"), "active");
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_non_null(strstr(buf_text(&w->body), "v2.16"));
    assert_files("/blobs/", 0);
    /* The same bytes are no qcow2. */
    const char *wrong = world_image(w, ALICE, QCOW2);
    assert_int_equal(world_call(w, ALICE, "PATCH", path(wrong, ""),
                                "application/openstack-images-v2.1-json-patch", patch, strlen(patch)),
                     200);
    assert_int_equal(world_get(w, ALICE, path(wrong, "/file")), 503);
    assert_files("/blobs/", 0);
    world_free(w);
    w = plain;
}

static void cached(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, RAW);
    const char *entry = arena_printf(w->arena, "/image/v2/cache/%s", id);
    assert_int_equal(world_get(w, ALICE, "/image/v2/cache"), 403);
    assert_int_equal(world_call(w, ADMIN, "PUT", entry, NULL, NULL, 0), 400);
    assert_int_equal(world_call(w, ADMIN, "PUT", "/image/v2/cache/none", NULL, NULL, 0), 404);
    assert_int_equal(world_upload(w, ALICE, id, "abc", 3), 204);
    assert_int_equal(world_call(w, ADMIN, "PUT", entry, NULL, NULL, 0), 202);
    usec_t until = clock_mono() + SECONDS(10);
    size_t n = 0;
    while (!n && clock_mono() < until) {
        assert_int_equal(world_get(w, ADMIN, "/image/v2/cache"), 200);
        n = json_array_size(json_get_array(w->json, "cached_images"));
    }
    assert_int_equal(n, 1);
    assert_files("/image-cache/", 1);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_int_equal(world_get(w, ADMIN, "/image/v2/cache"), 200);
    assert_int_equal(json_get_int(json_array_get(json_get_array(w->json, "cached_images"), 0), "hits", 0), 1);
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_files("/image-cache/", 0);
    assert_int_equal(world_call(w, ADMIN, "DELETE", "/image/v2/cache", NULL, NULL, 0), 204);
}

static void signed_image(void **state)
{
    (void)state;
    const char *uuid = "6f1c6cf4-8d1a-4f6e-9d0e-2b1f3c1d9a10";
    const char *key = files_path("sign.key"), *bytes = files_path("sign.bin"), *out = files_path("sign.sig"),
               *pem = arena_printf(w->arena, "%s/%s.pem", files_folder(), uuid);
    files_write("sign.bin", "signed bytes", 12);
    struct process make = { .argv =
                                ARGV("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                                     key, "-out", pem, "-subj", "/CN=image signer", "-days", "2") };
    assert_int_equal(process_run(&make), 0);
    struct process sign = { .argv =
                                ARGV("openssl", "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss",
                                     "-sigopt", "rsa_pss_saltlen:max", "-sign", key, "-out", out, bytes) };
    assert_int_equal(process_run(&sign), 0);
    _cleanup_(buf_done) struct buf b64 = BUF_MAX(8192);
    struct process encode = { .argv = ARGV("openssl", "base64", "-A", "-in", out), .output = &b64 };
    assert_int_equal(process_run(&encode), 0);
    const char *body = arena_printf(
        w->arena,
        "{\"disk_format\":\"raw\",\"container_format\":\"bare\",\"img_signature\":"
        "\"%s\",\"img_signature_hash_method\":\"SHA-256\",\"img_signature_key_type\":\"RSA-PSS\","
        "\"img_signature_certificate_uuid\":\"%s\"}",
        buf_text(&b64), uuid);
    const char *id = world_image(w, ALICE, body);
    assert_int_equal(world_upload(w, ALICE, id, "sIgned bytes", 12), 400);
    assert_non_null(strstr(buf_text(&w->body), "ignature"));
    assert_status(id, "queued");
    assert_int_equal(world_upload(w, ALICE, id, "signed bytes", 12), 204);
    assert_int_equal(drop_image(ALICE, id), 204);
    /* The same by import. */
    id = world_image(w, ALICE, body);
    stage(id, "signed bytez", 12);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{\"method\":{\"name\":\"glance-direct\"}}"),
                     202);
    world_wait(w, ALICE, id, "queued");
    stage(id, "signed bytes", 12);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{\"method\":{\"name\":\"glance-direct\"}}"),
                     202);
    world_wait(w, ALICE, id, "active");
    assert_int_equal(drop_image(ALICE, id), 204);
}

static void configure_conversion(struct world *x)
{
    x->config.image_convert = "qcow2";
}

/* With an operator who wants qcow2: a VDI, and the disk inside an OVA. */
static void conversion(void **state)
{
    (void)state;
    struct world *plain = w;
    w = world_new("convert", configure_conversion);
    QEMU_IMG("create", "-q", "-f", "vdi", "@c.vdi", "2M");
    size_t n;
    _cleanup_(freep) char *data = files_read("c.vdi", &n);
    const char *id = world_image(w, ALICE, "{\"disk_format\":\"vdi\",\"container_format\":\"bare\"}");
    stage(id, data, n);
    assert_int_equal(world_post(w, ALICE, path(id, "/import"), "{\"method\":{\"name\":\"glance-direct\"}}"),
                     202);
    world_wait(w, ALICE, id, "active");
    assert_string_equal(world_text(w, "disk_format"), "qcow2");
    assert_int_equal(json_get_int(w->json, "virtual_size", 0), 2 << 20);
    assert_int_equal(world_get(w, ALICE, path(id, "/file")), 200);
    assert_memory_equal(w->body.data, "QFI\xfb", 4);
    assert_files("/images/", 1);

    QEMU_IMG("create", "-q", "-f", "vmdk", "@c.vmdk", "3M");
    _cleanup_(freep) char *disk = files_read("c.vmdk", &n);
    _cleanup_(freep) char *tar = calloc(1, n + 8192);
    size_t len = files_tar_add(tar, 0, n + 8192, "c.ovf", "<x/>", 4);
    len = files_tar_add(tar, len, n + 8192, "c.vmdk", disk, n);
    const char *ova = world_image(w, ALICE, "{\"disk_format\":\"vmdk\",\"container_format\":\"ova\"}");
    stage(ova, tar, len + 1024);
    assert_int_equal(world_post(w, ALICE, path(ova, "/import"), "{\"method\":{\"name\":\"glance-direct\"}}"),
                     202);
    world_wait(w, ALICE, ova, "active");
    assert_string_equal(world_text(w, "disk_format"), "qcow2");
    assert_string_equal(world_text(w, "container_format"), "bare");
    assert_int_equal(json_get_int(w->json, "virtual_size", 0), 3 << 20);
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_int_equal(drop_image(ALICE, ova), 204);
    assert_files("/images/", 0);
    world_free(w);
    w = plain;
}

static int make_snapshot(struct txn *t, void *arg)
{
    struct fault f;
    struct image_new n = { .name = "snap",
                           .owner = "p-alice",
                           .disk_format = "raw",
                           .container_format = "bare",
                           .from_host = "host1" };
    return image_create(t, &n, arg, &f);
}

/* Without an agent's credentials its door stays shut; what it delivers is tested by its own end. */
static void agents(void **state)
{
    (void)state;
    const char *id = NULL;
    assert_int_equal(store_write(w->store, w->arena, make_snapshot, &id), 0);
    assert_status(id, "queued");
    const char *door = arena_printf(w->arena, "/agent/v1/images/%s/file?host=host1", id);
    assert_int_equal(world_get(w, ADMIN, door), 403);
    struct http_client *c;
    struct http_client_options o = { .unix_path = arena_printf(w->arena, "%s/sock", w->folder) };
    assert_int_equal(http_client_new(&o, &c), 0);
    static const char *const HOSTS[] = { "host2", "host1",
                                         "host1" }; /* the last did not hear of its success */
    for (size_t k = 0; k < ARRAY_SIZE(HOSTS); k++) {
        struct http_call call = { .method = "PUT", .body = "disk", .body_size = 4 };
        call.url = arena_printf(w->arena, "http://agent/agent/v1/images/%s/file?host=%s", id, HOSTS[k]);
        assert_int_equal(http_client_call(c, &call, w->arena, &w->reply), 0);
        assert_int_equal(w->reply.status, k ? 204 : 404);
    }
    assert_status(id, "active");
    buf_clear(&w->body);
    struct http_call call = { .into = &w->body };
    call.url = arena_printf(w->arena, "http://agent/agent/v1/images/%s/file?host=host2", id);
    assert_int_equal(http_client_call(c, &call, w->arena, &w->reply), 0);
    assert_int_equal(w->reply.status, 200);
    assert_string_equal(buf_text(&w->body), "disk");
    assert_int_equal(access(strmap_get(&w->reply.headers, "x-image-path"), R_OK), 0);
    http_client_free(c);
    assert_int_equal(drop_image(ADMIN, id), 204);
}

static void configure(struct world *x)
{
    const char *folder = x->folder;
    x->config.image_stores = (struct strv){};
    strv_add(x->arena, &x->config.image_stores, arena_printf(x->arena, "fast:%s/fast", folder));
    strv_add(x->arena, &x->config.image_stores, arena_printf(x->arena, "slow:%s/slow", folder));
    strv_add(x->arena, &x->config.web_download_networks, "127.0.0.0/8");
    strv_add(x->arena, &x->config.web_download_ports, arena_printf(x->arena, "%u", x->port));
    x->config.image_certificates = files_folder();
    x->config.image_total_max = 8 << 20;
}

static int begin(void **state)
{
    (void)state;
    w = world_new("data", configure);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_free(w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_and_down),  cmocka_unit_test(ranges),        cmocka_unit_test(large),
        cmocka_unit_test(refused),      cmocka_unit_test(cut_short),     cmocka_unit_test(any_step_fails),
        cmocka_unit_test(limits),       cmocka_unit_test(import_staged), cmocka_unit_test(import_refused),
        cmocka_unit_test(web_download), cmocka_unit_test(located),       cmocka_unit_test(cached),
        cmocka_unit_test(signed_image), cmocka_unit_test(conversion),    cmocka_unit_test(agents),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
