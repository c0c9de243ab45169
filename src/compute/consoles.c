/*
 * Consoles in a browser: tokens, the noVNC pages, and the way from a WebSocket to a guest.
 *
 * Who may see a console asks for a URL; in it stands a token that opens one connection to that one
 * console, for ten minutes. Tokens live in memory: after a restart of this process the client asks
 * again. Displays and serial ports are bound to local addresses of their hosts, so only consoles
 * of guests on this machine can be reached from here; for others there is no URL to give (501).
 */
#include "compute/actions.h"
#include "http/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uthash.h>

LOG_MODULE("compute.consoles");

#define TOKEN_LIFE MINUTES(10)
#define TOKENS_MAX 4096
#define NOVNC_DIR "/usr/share/novnc"

/* ---- tokens ---- */

struct token {
    char id[UUID_TEXT_SIZE];
    char server_id[64];
    char host[256], path[256];      /* of TCP, or the path of a unix socket */
    int port;
    usec_t until;
    UT_hash_handle hh;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct token *tokens;

static void drop(struct token *t)
{
    HASH_DEL(tokens, t);
    free(t);
}

static void drop_old(void)
{
    struct token *t, *next;
    usec_t now = clock_wall();
    HASH_ITER(hh, tokens, t, next)
        if (t->until < now || HASH_COUNT(tokens) > TOKENS_MAX)
            drop(t);
}

static int token_new(const struct server *s, const char *path, int port, char ret[UUID_TEXT_SIZE])
{
    struct token *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    uuid_text(t->id);
    (void)snprintf(t->server_id, sizeof(t->server_id), "%s", s->head.id);
    (void)snprintf(t->host, sizeof(t->host), "%s", str_or(s->console_host, "127.0.0.1"));
    (void)snprintf(t->path, sizeof(t->path), "%s", str_or(path, ""));
    t->port = port;
    t->until = clock_wall() + TOKEN_LIFE;
    memcpy(ret, t->id, UUID_TEXT_SIZE);
    pthread_mutex_lock(&lock);
    drop_old();
    HASH_ADD_STR(tokens, id, t);
    pthread_mutex_unlock(&lock);
    return 0;
}

/* A copy of what the token stands for; 'use' spends it. False: no such token. */
static bool token_get(const char *id, bool use, struct token *ret)
{
    struct token *t;
    pthread_mutex_lock(&lock);
    drop_old();
    HASH_FIND_STR(tokens, id, t);
    if (t) {
        *ret = *t;
        if (use)
            drop(t);
    }
    pthread_mutex_unlock(&lock);
    return t != NULL;
}

/* ---- asking for one ---- */

static int is_here(struct call *c, const struct server *s, bool *ret)
{
    struct compute_host *h;
    char name[256] = "";
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, str_or(s->host, ""), &h);
    if (r < 0)
        return r;
    (void)gethostname(name, sizeof(name) - 1);
    *ret = h && h->facts && (str_eq(h->facts->hostname, name) || str_eq(h->head.id, name));
    return 0;
}

static int unavailable(struct call *c, const char *type)
{
    return call_fault(c, 400, "ConsoleTypeUnavailable", "Unavailable console type %s.", type);
}

/* The URL of a console of this type. */
static int console_url(struct call *c, const struct server *s, const char *type, const char **ret)
{
    bool here;
    if (!str_eq(s->seen_power, POWER_RUNNING) && !str_eq(s->seen_power, POWER_PAUSED))
        return call_fault(c, 409, "InstanceNotReady", "Instance not yet ready");
    int r = is_here(c, s, &here);
    if (r < 0)
        return r;
    if (!here)
        return call_fault(c, 501, "NotImplemented", "Consoles of guests on other machines can't be reached from "
                          "here.");
    bool novnc = STREQ(type, "novnc"), spice = STREQ(type, "spice-html5"), serial = STREQ(type, "serial");
    int port = novnc ? (int)s->vnc_port : spice ? (int)s->spice_port : 0;
    if (!(port || (serial && s->serial_path)))
        return unavailable(c, type);
    char token[UUID_TEXT_SIZE];
    r = token_new(s, serial ? s->serial_path : NULL, port, token);
    if (r < 0)
        return r;
    const char *root = arena_printf(c->arena, "%.*s/console",
                                    (int)(strlen(call_base_url(c)) - strlen(c->service->prefix)), call_base_url(c));
    if (novnc)
        *ret = arena_printf(c->arena, "%s/vnc_lite.html?path=console%%2Fws%%3Ftoken%%3D%s", root, token);
    else if (serial)
        *ret = arena_printf(c->arena, "ws%s/ws?token=%s", root + strlen("http"), token);
    else
        *ret = arena_printf(c->arena, "%s/ws?token=%s", root, token);
    return 0;
}

struct console_in { const char *protocol, *type; };
static const char *const PROTOCOLS[] = { "vnc", "spice", "rdp", "serial", "mks", NULL };
static const char *const TYPES[] = { "novnc", "xvpvnc", "rdp-html5", "spice-html5", "serial", "webmks", NULL };
static const struct field CONSOLE_ROWS[] = {
    { "protocol", FIELD_STRING, offsetof(struct console_in, protocol), IN_CREATE | REQUIRED, .values = PROTOCOLS,
      .doc = "What is spoken." },
    { "type", FIELD_STRING, offsetof(struct console_in, type), IN_CREATE | REQUIRED, .values = TYPES,
      .doc = "Which client." },
};
static SCHEMA(CONSOLE_SCHEMA, struct console_in, CONSOLE_ROWS);

static int remote_console(struct call *c)
{
    const struct console_in *in = c->in;
    struct server *s;
    const char *url;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-remote-consoles", &s);
    if (r)
        return r;
    static const struct { const char *protocol, *type; } PAIRS[] = {
        { "vnc", "novnc" }, { "vnc", "xvpvnc" }, { "spice", "spice-html5" }, { "serial", "serial" },
        { "rdp", "rdp-html5" }, { "mks", "webmks" },
    };
    bool pair = false;
    for (size_t i = 0; i < ARRAY_SIZE(PAIRS); i++)
        pair = pair || (STREQ(PAIRS[i].protocol, in->protocol) && STREQ(PAIRS[i].type, in->type));
    if (!pair)
        return unavailable(c, in->type);
    r = console_url(c, s, in->type, &url);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "remote_console");
    json_put_string(&c->out, "protocol", in->protocol);
    json_put_string(&c->out, "type", in->type);
    json_put_string(&c->out, "url", url);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* The actions of old: os-getVNCConsole and its kin. */
struct type_in { const char *type; };
#define TYPE_SCHEMA(symbol, ...) \
    static const char *const symbol##_VALUES[] = { __VA_ARGS__, NULL }; \
    static const struct field symbol##_ROWS[] = { \
        { "type", FIELD_STRING, offsetof(struct type_in, type), IN_CREATE | REQUIRED, .values = symbol##_VALUES, \
          .doc = "Which client." } }; \
    static SCHEMA(symbol, struct type_in, symbol##_ROWS)
TYPE_SCHEMA(VNC_SCHEMA, "novnc", "xvpvnc");
TYPE_SCHEMA(SPICE_SCHEMA, "spice-html5");
TYPE_SCHEMA(SERIAL_SCHEMA, "serial");
TYPE_SCHEMA(RDP_SCHEMA, "rdp-html5");

static int old_console(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)
{
    const char *type = ((const struct type_in *)in)->type, *url;
    (void)given;
    (void)gone;
    int r = console_url(c, s, type, &url);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "console");
    json_put_string(&c->out, "type", type);
    json_put_string(&c->out, "url", url);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

#define OLD(name_, schema_) \
    { name_, .until = 5, .status = 200, .rule = "os_compute_api:os-remote-consoles", .in = &(schema_), \
      .flags = ACT_READS | ACT_BUSY_TOO | ACT_LOCKED_TOO | ACT_OBJECT, .verb = "get_console", .fn = old_console }
const struct server_action CONSOLE_URL_ACTIONS[] = {
    OLD("os-getVNCConsole", VNC_SCHEMA), OLD("os-getSPICEConsole", SPICE_SCHEMA),
    OLD("os-getSerialConsole", SERIAL_SCHEMA), OLD("os-getRDPConsole", RDP_SCHEMA), { NULL },
};

static int token_show(struct call *c)
{
    struct token t;
    const char *id = call_param(c, "token");
    if (!token_get(id, false, &t))
        return call_fault(c, 404, "InvalidToken", "Token not found");
    json_open_object(&c->out);
    json_put_object(&c->out, "console");
    json_put_string(&c->out, "instance_uuid", t.server_id);
    json_put_string(&c->out, "host", t.host);
    json_put_int(&c->out, "port", t.port);
    json_put_string(&c->out, "internal_access_path", *t.path ? t.path : NULL);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static const struct route CONSOLE_ROUTES[] = {
    { "POST", "/v2.1/servers/{id}/remote-consoles", remote_console, NULL, ROUTE_INLINE, .since = 6,
      .wrap = "remote_console", .body = &CONSOLE_SCHEMA, .mode = DECODE_CREATE, .doc = "A URL of a console." },
    { "GET", "/v2.1/os-console-auth-tokens/{token}", token_show, "os_compute_api:os-console-auth-tokens", 0,
      .doc = "What a token of a console stands for." },
};
static const struct policy_rule CONSOLE_RULES[] = {
    { "os_compute_api:os-console-auth-tokens", RULE_ADMIN, "See what a token of a console stands for." },
};
COMPUTE_PART(CONSOLE_PART, CONSOLE_ROUTES, CONSOLE_RULES);

/* ---- the proxy: a service of its own at /console ---- */

static int connect_tcp(const char *host, int port)
{
    char text[16];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *list;
    (void)snprintf(text, sizeof(text), "%d", port);
    if (getaddrinfo(host, text, &hints, &list) != 0)
        return -EINVAL;
    _cleanup_(closep) int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? -errno : connect(fd, list->ai_addr, list->ai_addrlen) < 0 ? -errno : 0;
    freeaddrinfo(list);
    return r < 0 ? r : TAKE_FD(fd);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static void pump(int ws_fd, const void *extra, size_t extra_size, void *arg)
{
    int *stream = arg;
    struct websocket_pump p = { 0 };
    int r = websocket_pump(ws_fd, extra, extra_size, *stream, &p);
    log_debug("console closed", KV("to_guest", p.to_stream), KV("to_client", p.to_client), KV("error", -r));
    (void)close(*stream);
    free(stream);
}

static int console_socket(struct call *c)
{
    struct token t;
    const char *id = call_arg(c, "token");
    if (!id || !token_get(id, true, &t))
        return call_fault(c, 403, "InvalidToken", "The token is not valid or has expired.");
    int *stream = malloc(sizeof(*stream));
    if (!stream)
        return -ENOMEM;
    *stream = *t.path ? connect_unix(t.path) : connect_tcp(t.host, t.port);
    if (*stream < 0) {
        log_warning("the console can't be reached", KV("server", t.server_id), KV("error", strerror(-*stream)));
        free(stream);
        return call_fault(c, 502, "BadGateway", "The console of the guest can't be reached.");
    }
    int r = websocket_upgrade(c->http, pump, stream, &c->fault);
    if (r == 0) {
        c->answered = true;
        return 0;
    }
    (void)close(*stream);
    free(stream);
    return r;
}

/* Files of the noVNC package. */
static int console_file(struct call *c)
{
    static const struct { const char *end, *type; } TYPES_OF[] = {
        { ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript" }, { ".css", "text/css" },
        { ".svg", "image/svg+xml" }, { ".png", "image/png" }, { ".json", "application/json" },
        { ".ico", "image/x-icon" }, { ".woff", "font/woff" }, { ".ttf", "font/ttf" },
    };
    const char *name = call_param(c, "file"), *type = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(TYPES_OF); i++)
        if (str_ends(name, TYPES_OF[i].end))
            type = TYPES_OF[i].type;
    if (strstr(name, "..") || !type)
        return call_fault(c, 404, "NotFound", "There is no such file.");
    _cleanup_(closep) int fd = open(arena_printf(c->arena, NOVNC_DIR "/%s", name), O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return call_fault(c, 404, "NotFound", "There is no such file. Is the package novnc installed?");
    http_answer_file(c->http, 200, type, TAKE_FD(fd), 0, (uint64_t)st.st_size);
    c->answered = true;
    return 0;
}

static const struct route PROXY_ROUTES[] = {
    { "GET", "/ws", console_socket, NULL, ROUTE_PUBLIC | ROUTE_WORKER, .doc = "A guest's console as a WebSocket." },
    { "GET", "/{file}", console_file, NULL, ROUTE_PUBLIC | ROUTE_TAIL | ROUTE_WORKER, .doc = "noVNC." },
};
const struct service CONSOLE_SERVICE = {
    .name = "console", .prefix = "/console", .routes = PROXY_ROUTES, .n_routes = ARRAY_SIZE(PROXY_ROUTES),
};
