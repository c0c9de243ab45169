/*
 * Routes: a tree of path segments for each service.
 *
 * A literal segment is preferred to a {parameter}; both are tried, so "/servers/detail" and
 * "/servers/{id}/metadata" live together. Rows of the same path and method differ in their
 * microversions only; two that overlap are refused at start.
 */
#include "api/internal.h"

#include <errno.h>
#include <stdio.h>

struct row_list {
    const struct route **v;
    size_t n, cap;
};

struct node {
    const char *segment;        /* null: a parameter */
    size_t length;
    struct node *children, *next;
    unsigned depth;
    struct row_list rows;
};

struct router {
    struct arena *arena;
    const struct service *const *services;
    struct node *roots;         /* by index of the service */
};

static struct node *child(struct arena *a, struct node *parent, const char *segment, size_t length)
{
    bool parameter = segment[0] == '{';
    for (struct node *n = parent->children; n; n = n->next)
        if (parameter ? !n->segment : n->segment && n->length == length && memcmp(n->segment, segment, length) == 0)
            return n;
    struct node *n = ARENA_NEW(a, struct node);
    if (!n)
        return NULL;
    if (!parameter) {
        n->segment = segment;
        n->length = length;
    }
    n->depth = parent->depth + 1;
    /* literals before the parameter */
    struct node **at = &parent->children;
    while (*at && (parameter || (*at)->segment))
        at = &(*at)->next;
    n->next = *at;
    *at = n;
    return n;
}

static bool overlap(const struct route *a, const struct route *b)
{
    if (!STREQ(a->method, b->method))
        return false;
    int a_end = a->until ? a->until : INT16_MAX, b_end = b->until ? b->until : INT16_MAX;
    return a->since <= b_end && b->since <= a_end;
}

static int add(struct router *r, struct node *root, const struct service *s, const struct route *route,
               struct fault *fault)
{
    struct node *n = root;
    const char *at = route->path;
    while (n && *at) {
        at += *at == '/';
        size_t length = strcspn(at, "/");
        n = child(r->arena, n, at, length);
        at += length;
    }
    if (!n)
        return -ENOMEM;
    VEC_FOREACH(other, &n->rows)
        if (overlap(*other, route))
            return fault_set(fault, 0, "routes", "two rows for %s %s%s", route->method, s->prefix, route->path);
    return vec_push(r->arena, &n->rows, route) ? 0 : -ENOMEM;
}

int router_new(const struct service *const *services, struct router **ret, struct fault *fault)
{
    struct router *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->services = services;
    r->arena = arena_new(0);
    size_t n = 0;
    while (services[n])
        n++;
    r->roots = r->arena ? ARENA_NEWN(r->arena, struct node, n + 1) : NULL;
    int result = r->roots ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && !result; i++)
        for (size_t j = 0; j < services[i]->n_routes && !result; j++)
            result = add(r, &r->roots[i], services[i], &services[i]->routes[j], fault);
    if (result) {
        router_free(r);
        return result;
    }
    *ret = r;
    return 0;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    arena_free(r->arena);
    free(r);
}

const struct service *router_service(const struct router *r, const char *path)
{
    const struct service *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; r->services[i]; i++) {
        size_t n = strlen(r->services[i]->prefix);
        if (strncmp(path, r->services[i]->prefix, n) == 0 && (path[n] == '/' || path[n] == 0) &&
            (!best || n > best_length)) {
            best = r->services[i];
            best_length = n;
        }
    }
    return best;
}

struct search {
    const char *method;
    int minor;
    struct router_match *match;
    const char *values[16];
    size_t lengths[16];
    size_t n;
};

static bool row_fits(const struct route *row, int minor)
{
    return (!row->since || minor >= row->since) && (!row->until || minor <= row->until);
}

/* Picks the row of a node for the method, or notes which methods there are. */
static bool take_row(struct search *s, const struct node *n, bool tail)
{
    const struct route *get = NULL;
    VEC_FOREACH(row, &n->rows) {
        if (!!((*row)->flags & ROUTE_TAIL) != tail && tail)
            continue;
        if (!row_fits(*row, s->minor))
            continue;
        if (STREQ((*row)->method, s->method)) {
            s->match->route = *row;
            return true;
        }
        if (STREQ((*row)->method, "GET"))
            get = *row;
        s->match->path_known = true;
        size_t used = strlen(s->match->allow);
        if (!strstr(s->match->allow, (*row)->method))
            (void)snprintf(s->match->allow + used, sizeof(s->match->allow) - used, "%s%s", used ? ", " : "",
                           (*row)->method);
    }
    if (get && STREQ(s->method, "HEAD")) {
        s->match->route = get;
        return true;
    }
    return false;
}

static bool find(struct search *s, const struct node *n, const char *path)
{
    if (*path == 0 && (n->rows.n || n->depth))
        return take_row(s, n, false);
    if (*path == 0 || path[1] == 0) {
        for (const struct node *c = n->children; c; c = c->next)
            if (c->segment && !c->length)   /* a row that ends with a slash means it */
                return take_row(s, c, false);
        if (n->rows.n && n->depth <= 1)     /* forgiven near the root ("/v2.0/"); below it is an empty name */
            return take_row(s, n, false);
        if (*path == 0)
            return false;
    }
    const char *segment = path + 1;
    size_t length = strcspn(segment, "/");
    for (const struct node *c = n->children; c; c = c->next) {
        if (c->segment) {
            if (c->length == length && memcmp(c->segment, segment, length) == 0 && find(s, c, segment + length))
                return true;
            continue;
        }
        if (s->n == ARRAY_SIZE(s->values))
            return false;
        size_t depth = s->n++;
        s->values[depth] = segment;
        s->lengths[depth] = length;
        if (length && find(s, c, segment + length))
            return true;
        s->n = depth + 1;
        s->lengths[depth] = strlen(segment);
        if (length && segment[length] && take_row(s, c, true))
            return true;
        s->n = depth;
    }
    return false;
}

int router_find(const struct router *r, const struct service *s, const char *method, const char *path, int minor,
                struct arena *a, struct router_match *ret)
{
    *ret = (struct router_match){ .service = s };
    size_t i = 0;
    while (r->services[i] != s)
        i++;
    struct search search = { .method = method, .minor = minor, .match = ret };
    const char *rest = path + strlen(s->prefix);
    if (!find(&search, &r->roots[i], rest))
        return 0;
    size_t used = 0;
    for (const char *at = ret->route->path; (at = strchr(at, '{')); ) {
        size_t n = strcspn(++at, "}");
        const char *name = arena_strndup(a, at, n);
        const char *value = arena_strndup(a, search.values[used], search.lengths[used]);
        if (!name || !value || !vec_push(a, &ret->params, ((struct pair){ name, value })))
            return -ENOMEM;
        used++;
        at += n;
    }
    return 0;
}

void api_describe_routes(const struct service *const *services, struct buf *out)
{
    for (size_t i = 0; services[i]; i++)
        for (size_t j = 0; j < services[i]->n_routes; j++) {
            const struct route *r = &services[i]->routes[j];
            buf_printf(out, "%s %s%s %s\n", r->method, services[i]->prefix, r->path, r->rule ? r->rule : "-");
        }
}

void api_describe_rules(const struct service *const *services, struct buf *out)
{
    for (size_t i = 0; services[i]; i++)
        for (size_t j = 0; j < services[i]->n_rules; j++) {
            const struct policy_rule *r = &services[i]->rules[j];
            buf_printf(out, "# %s\n\"%s\": \"%s\"\n\n", r->doc ? r->doc : "", r->name, r->check);
        }
}
