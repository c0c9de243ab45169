/* The logger: one line, one write(2), to standard error. See the header. */
#include "base/log.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>

static struct log_module *modules;
static _Atomic int default_level = LOG_LEVEL_INFO;
static _Atomic int format = LOG_FORMAT_TEXT;
static _Atomic unsigned warnings;
static _Thread_local const char *request_id;

static const char *const LEVEL_NAMES[] = { "error", "warning", "info", "debug" };

void log_register(struct log_module *m)
{
    m->next = modules;
    modules = m;
}

void log_setup(enum log_level level, enum log_format f)
{
    default_level = (int)level;
    if (f == LOG_FORMAT_AUTO)
        f = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    format = (int)f;
}

static int level_of(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(LEVEL_NAMES); i++)
        if (STREQ(word, LEVEL_NAMES[i]))
            return (int)i;
    return -1;
}

int log_set_levels(const char *levels)
{
    char copy[512];
    if ((size_t)snprintf(copy, sizeof(copy), "%s", levels) >= sizeof(copy))
        return -EINVAL;
    char *save = NULL;
    for (char *word = strtok_r(copy, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
        char *equals = strchr(word, '=');
        if (equals)
            *equals = 0;
        int level = level_of(equals ? equals + 1 : word);
        if (level < 0)
            return -EINVAL;
        if (!equals) {
            default_level = level;
            continue;
        }
        /* "compute" sets "compute.scheduler" too */
        size_t n = strlen(word);
        for (struct log_module *m = modules; m; m = m->next)
            if (strncmp(m->name, word, n) == 0 && (m->name[n] == 0 || m->name[n] == '.'))
                m->level = level;
    }
    return 0;
}

void log_set_request_id(const char *id)
{
    request_id = id;
}

const char *log_request_id(void)
{
    return request_id;
}

bool log_wanted(const struct log_module *m, enum log_level level)
{
    int limit = m->level >= 0 ? m->level : default_level;
    return (int)level <= limit;
}

unsigned log_take_warnings(void)
{
    return atomic_exchange(&warnings, 0);
}

static void text_value(struct buf *b, const char *s)
{
    bool plain = *s != 0;
    for (const char *c = s; *c && plain; c++)
        plain = (unsigned char)*c > ' ' && *c != '"' && *c != '=' && *c != '\\' && (unsigned char)*c != 127;
    if (plain) {
        buf_adds(b, s);
        return;
    }
    struct json_out o = JSON_OUT(b);
    json_string_out(&o, s);
}

void log_write(const struct log_module *m, enum log_level level, const char *message, const struct log_kv *kv,
               size_t n)
{
    int saved = errno;
    if (level <= LOG_LEVEL_WARNING)
        warnings++;
    char when[TIME_TEXT_SIZE];
    time_format(clock_wall(), TIME_ISO_MICRO_Z, when);
    _cleanup_(buf_done) struct buf b = BUF_MAX(16384);
    if (format == LOG_FORMAT_JSON) {
        struct json_out o = JSON_OUT(&b);
        json_open_object(&o);
        json_put_string(&o, "time", when);
        json_put_string(&o, "level", LEVEL_NAMES[level]);
        json_put_string(&o, "module", m->name);
        json_put_string(&o, "message", message);
        if (request_id)
            json_put_string(&o, "request_id", request_id);
        for (size_t i = 0; i < n; i++) {
            json_key(&o, kv[i].key);
            if (kv[i].text)
                json_string_out(&o, kv[i].text);
            else
                json_int_out(&o, kv[i].number);
        }
        json_close_object(&o);
    } else {
        buf_printf(&b, "%s %-7s %s: %s", when, LEVEL_NAMES[level], m->name, message);
        for (size_t i = 0; i < n; i++) {
            buf_printf(&b, " %s=", kv[i].key);
            if (kv[i].text)
                text_value(&b, kv[i].text);
            else
                buf_printf(&b, "%lld", kv[i].number);
        }
        if (request_id)
            buf_printf(&b, " request_id=%s", request_id);
    }
    b.max += 1;
    b.error = 0;
    buf_addc(&b, '\n');
    const char *at = buf_text(&b);
    size_t left = b.len;
    while (left) {
        ssize_t w = write(STDERR_FILENO, at, left);
        if (w < 0 && errno != EINTR)
            break;
        if (w > 0) {
            at += w;
            left -= (size_t)w;
        }
    }
    errno = saved;
}

bool ratelimit_pass(struct ratelimit *r)
{
    usec_t now = clock_mono();
    if (now - r->window_start > r->interval || r->window_start == 0) {
        r->window_start = now;
        r->count = 0;
    }
    return atomic_fetch_add(&r->count, 1) < r->burst;
}
