/*
 * qemu-img with limits.
 *
 * The source is named by a "json:" file name that spells out every layer: the format's
 * driver, a raw layer with offset and size when the disk is a part of the file, the file.
 * So nothing is probed. For qcow2 "backing": null is part of it, which keeps QEMU from
 * opening a backing file even if the inspector had overlooked one.
 */
#include "image/convert.h"

#include "base/json.h"
#include "base/process.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

static const char *source_name(const struct convert_source *s, struct buf *b)
{
    struct json_out o = JSON_OUT(b);
    const char *driver = image_format_driver(s->format);
    buf_adds(b, "json:");
    json_open_object(&o);
    json_put_string(&o, "driver", driver);
    if (str_eq(driver, "qcow2"))
        json_put_null(&o, "backing");
    if (s->size) {
        if (!str_eq(driver, "raw")) {
            json_put_object(&o, "file");
            json_put_string(&o, "driver", "raw");
        }
        json_put_int(&o, "offset", (int64_t)s->offset);
        json_put_int(&o, "size", (int64_t)s->size);
    }
    json_put_object(&o, "file");
    json_put_string(&o, "driver", "file");
    json_put_string(&o, "filename", s->path);
    json_put_string(&o, "locking", "off");
    json_close_object(&o);
    if (s->size && !str_eq(driver, "raw"))
        json_close_object(&o);
    json_close_object(&o);
    return buf_error(b) ? NULL : buf_text(b);
}

/* The last line of what it said, without the path of our files. */
static int refuse(const struct buf *errors, const char *what, struct fault *fault)
{
    const char *text = buf_text(errors);
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    size_t start = n;
    while (start && text[start - 1] != '\n')
        start--;
    char line[256];
    snprintf(line, sizeof(line), "%.*s", (int)MIN(n - start, sizeof(line) - 1), text + start);
    if (strstr(line, "No space left"))
        return fault_set(fault, 413, "StorageFull",
                         "There is no room in the image store to convert the image.");
    char *colon = strrchr(line, ':');
    return fault_set(fault, 400, "InvalidImageData", "The image cannot be %s:%s", what,
                     colon ? colon + 1 : " qemu-img gave no reason");
}

static int run(const struct process *p, const struct buf *errors, const char *what, struct fault *fault)
{
    int r = process_run(p);
    if (r == -ETIMEDOUT)
        return fault_set(fault, 400, "InvalidImageData", "The image cannot be %s: it took too long.", what);
    if (r == -ECHILD) /* a signal: a limit was met, or the file made it crash */
        return fault_set(fault, 400, "InvalidImageData", "The image cannot be %s: it took too much.", what);
    if (r > 0)
        return refuse(errors, what, fault);
    return r;
}

int convert_image(const struct convert_source *source, const char *format, const char *path,
                  const struct convert_limits *limits, struct fault *fault)
{
    _cleanup_(buf_done) struct buf name = BUF_MAX(8192), errors = BUF_MAX(16384);
    const char *from = source_name(source, &name);
    if (!from)
        return -ENOMEM;
    struct process p = {
        .argv = ARGV("qemu-img", "convert", "-O", format, from, path),
        .timeout = limits && limits->timeout ? limits->timeout : MINUTES(10),
        .limit_memory = limits && limits->memory ? limits->memory : (uint64_t)2 << 30,
        .limit_cpu_seconds = limits && limits->cpu_seconds ? limits->cpu_seconds : 600,
        .errors = &errors,
    };
    int r = run(&p, &errors, "converted", fault);
    if (r != 0)
        (void)unlink(path);
    return r;
}

int convert_inspect(const struct convert_source *source, const struct convert_limits *limits, struct arena *a,
                    struct convert_info *ret, struct fault *fault)
{
    _cleanup_(buf_done) struct buf name = BUF_MAX(8192), output = BUF_MAX(1 << 20), errors = BUF_MAX(16384);
    const char *from = source_name(source, &name);
    if (!from)
        return -ENOMEM;
    struct process p = {
        .argv = ARGV("qemu-img", "info", "--output=json", from),
        .timeout = limits && limits->timeout ? limits->timeout : SECONDS(30),
        .limit_memory = limits && limits->memory ? limits->memory : (uint64_t)1 << 30,
        .limit_cpu_seconds = limits && limits->cpu_seconds ? limits->cpu_seconds : 30,
        .output = &output,
        .errors = &errors,
    };
    int r = run(&p, &errors, "read", fault);
    if (r != 0)
        return r;
    char why[160];
    _cleanup_(json_decrefp) json_t *tree =
        json_parse(output.data ? output.data : "", output.len, why, sizeof(why));
    int64_t size = tree ? json_get_int(tree, "virtual-size", -1) : -1;
    if (size < 0)
        return fault_set(fault, 400, "InvalidImageData", "The image cannot be read: qemu-img gave no size.");
    *ret = (struct convert_info){
        .virtual_size = (uint64_t)size,
        .format = arena_strdup(a, json_get_string(tree, "format")),
        .encrypted = json_get_bool(tree, "encrypted", false),
    };
    return 0;
}
