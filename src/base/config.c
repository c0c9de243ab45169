/* The configuration file: see the header. */
#include "base/config.h"

#include <errno.h>
#include <stdio.h>

#define LINE_MAX_BYTES 65536

static char *strip(char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = 0;
    return s;
}

static void filep(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

int config_load(const struct schema *s, const char *path, bool optional, struct arena *a, void *out,
                struct fault *fault)
{
    int r = schema_defaults(s, a, out);
    if (r < 0)
        return r;
    _cleanup_(filep) FILE *f = fopen(path, "re");
    if (!f) {
        if (errno == ENOENT && optional)
            return 0;
        return fault_set(fault, 0, "config", "%s: %s", path, strerror(errno));
    }
    _cleanup_(freep) char *line = malloc(LINE_MAX_BYTES);
    if (!line)
        return -ENOMEM;
    for (int number = 1; fgets(line, LINE_MAX_BYTES, f); number++) {
        char *key = strip(line);
        if (!*key || *key == '#')
            continue;
        char *equals = strchr(key, '=');
        if (!equals)
            return fault_set(fault, 0, "config", "%s:%d: expected 'key = value'", path, number);
        *equals = 0;
        char *value = strip(equals + 1);
        key = strip(key);
        const struct field *row = schema_field(s, key);
        if (!row)
            return fault_set(fault, 0, "config", "%s:%d: there is no option '%s'", path, number, key);
        struct decode_error e;
        r = field_decode_text(row, value, a, out, &e);
        if (r < 0)
            return r;
        if (r)
            return fault_set(fault, 0, "config", "%s:%d: %s", path, number, e.message);
    }
    if (ferror(f))
        return -EIO;
    return 0;
}

void config_describe(const struct schema *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct field *f = &s->fields[i];
        buf_printf(out, "# %s\n#%s = %s\n\n", f->doc ? f->doc : "", f->name, f->otherwise ? f->otherwise : "");
    }
}
