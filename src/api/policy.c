/* Policy: parsing and evaluation of rules. See the header. */
#include "api/policy.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <uthash.h>

LOG_MODULE("api.policy");

#define RULE_DEPTH_MAX 32

enum check_kind { ALWAYS, NEVER, ROLE, RULE, MATCH, NOT, AND, OR };

struct check {
    enum check_kind kind;
    const char *left;           /* role, rule, or the caller's attribute (literal when 'quoted') */
    const char *right;          /* of MATCH: literal or the target's attribute */
    bool quoted, attribute;
    struct check *a, *b;
};

struct rule {
    const char *name;
    struct check *check;
    UT_hash_handle hh;
};

struct policy {
    struct arena *arena;
    struct rule *rules;
};

/* ---- parsing ---- */

struct parser {
    struct arena *arena;
    const char *at;
    int depth;
    bool broken;
};

static struct check *parse_or(struct parser *p);

static struct check *make(struct parser *p, enum check_kind kind, struct check *a, struct check *b)
{
    struct check *c = ARENA_NEW(p->arena, struct check);
    if (c)
        *c = (struct check){ .kind = kind, .a = a, .b = b };
    else
        p->broken = true;
    return c;
}

static void blanks(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool word(struct parser *p, const char *w)
{
    blanks(p);
    size_t n = strlen(w);
    if (strncasecmp(p->at, w, n) != 0 || (p->at[n] && !isspace((unsigned char)p->at[n]) && p->at[n] != '('))
        return false;
    p->at += n;
    return true;
}

/* One check up to a blank or a parenthesis; "%(name)s" keeps its own. */
static const char *token(struct parser *p)
{
    blanks(p);
    const char *start = p->at;
    while (*p->at && !isspace((unsigned char)*p->at) && *p->at != ')') {
        if (p->at[0] == '%' && p->at[1] == '(') {
            p->at += strcspn(p->at, ")");
            if (!*p->at)
                break;
        }
        p->at++;
    }
    return arena_strndup(p->arena, start, (size_t)(p->at - start));
}

static const char *unquote(struct arena *a, const char *s, bool *ret_quoted)
{
    size_t n = strlen(s);
    *ret_quoted = n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n - 1] == s[0];
    return *ret_quoted ? arena_strndup(a, s + 1, n - 2) : s;
}

static struct check *parse_check(struct parser *p)
{
    const char *t = token(p);
    if (!t || !*t) {
        p->broken = true;
        return NULL;
    }
    if (STREQ(t, "@"))
        return make(p, ALWAYS, NULL, NULL);
    if (STREQ(t, "!"))
        return make(p, NEVER, NULL, NULL);
    const char *colon = strchr(t, ':');
    struct check *c = colon ? make(p, MATCH, NULL, NULL) : NULL;
    if (!c) {
        p->broken = true;
        return NULL;
    }
    const char *left = arena_strndup(p->arena, t, (size_t)(colon - t));
    if (!left)
        return NULL;
    c->left = unquote(p->arena, left, &c->quoted);
    c->right = colon + 1;
    if (STREQ(left, "role")) {
        c->kind = ROLE;
        c->left = c->right;
    } else if (STREQ(left, "rule")) {
        c->kind = RULE;
        c->left = c->right;
    } else if (str_starts(c->right, "%(") && str_ends(c->right, ")s")) {
        c->attribute = true;
        c->right = arena_strndup(p->arena, c->right + 2, strlen(c->right) - 4);
    }
    return c;
}

static struct check *parse_not(struct parser *p)
{
    if (++p->depth > RULE_DEPTH_MAX) {
        p->broken = true;
        return NULL;
    }
    struct check *c;
    if (word(p, "not")) {
        c = make(p, NOT, parse_not(p), NULL);
    } else {
        blanks(p);
        if (*p->at == '(') {
            p->at++;
            c = parse_or(p);
            blanks(p);
            if (*p->at++ != ')') {
                p->at--;
                p->broken = true;
            }
        } else {
            c = parse_check(p);
        }
    }
    p->depth--;
    return c;
}

static struct check *parse_and(struct parser *p)
{
    struct check *c = parse_not(p);
    while (!p->broken && word(p, "and"))
        c = make(p, AND, c, parse_not(p));
    return c;
}

static struct check *parse_or(struct parser *p)
{
    struct check *c = parse_and(p);
    while (!p->broken && word(p, "or"))
        c = make(p, OR, c, parse_and(p));
    return c;
}

static struct check *parse(struct arena *a, const char *text)
{
    struct parser p = { .arena = a, .at = text };
    blanks(&p);
    if (!*p.at)
        return make(&p, ALWAYS, NULL, NULL);
    struct check *c = parse_or(&p);
    blanks(&p);
    return p.broken || *p.at ? NULL : c;
}

/* ---- evaluation ---- */

static const char *caller_attribute(const struct auth *auth, const char *name)
{
    static const struct { const char *name; size_t offset; } ATTRIBUTES[] = {
        { "user_id", offsetof(struct auth, user_id) },
        { "project_id", offsetof(struct auth, project_id) },
        { "tenant_id", offsetof(struct auth, project_id) },
        { "tenant", offsetof(struct auth, project_id) },
        { "owner", offsetof(struct auth, project_id) },
        { "domain_id", offsetof(struct auth, domain_id) },
        { "token.domain.id", offsetof(struct auth, domain_id) },
        { "token.project.domain.id", offsetof(struct auth, project_domain_id) },
        { "user_domain_id", offsetof(struct auth, user_domain_id) },
        { "user.domain_id", offsetof(struct auth, user_domain_id) },
        { "project_domain_id", offsetof(struct auth, project_domain_id) },
        { "user_name", offsetof(struct auth, user_name) },
        { "project_name", offsetof(struct auth, project_name) },
    };
    if (STREQ(name, "system_scope"))
        return auth->system ? "all" : NULL;
    if (STREQ(name, "is_admin"))
        return auth->admin ? "True" : "False";
    for (size_t i = 0; i < ARRAY_SIZE(ATTRIBUTES); i++)
        if (STREQ(ATTRIBUTES[i].name, name))
            return *(const char *const *)(const void *)((const char *)auth + ATTRIBUTES[i].offset);
    return NULL;
}

static bool literal(const char *s)
{
    return STREQ(s, "None") || STREQ(s, "True") || STREQ(s, "False") || isdigit((unsigned char)s[0]);
}

static bool eval(const struct policy *p, const struct check *c, const struct auth *auth, const struct strmap *target,
                 int depth)
{
    if (!c || depth > RULE_DEPTH_MAX)
        return false;
    switch (c->kind) {
    case ALWAYS:
        return true;
    case NEVER:
        return false;
    case ROLE:
        for (size_t i = 0; i < auth->roles.n; i++)
            if (strcasecmp(auth->roles.v[i], c->left) == 0)
                return true;
        return false;
    case RULE: {
        struct rule *r;
        HASH_FIND_STR(p->rules, c->left, r);
        return r && eval(p, r->check, auth, target, depth + 1);
    }
    case MATCH: {
        const char *left = c->quoted || literal(c->left) ? c->left : caller_attribute(auth, c->left);
        const char *right = c->attribute ? strmap_get(target, c->right) : c->right;
        if (c->attribute && !right && left && STREQ(left, "None"))
            return true;
        return left && right && strcmp(left, right) == 0;
    }
    case NOT:
        return !eval(p, c->a, auth, target, depth + 1);
    case AND:
        return eval(p, c->a, auth, target, depth + 1) && eval(p, c->b, auth, target, depth + 1);
    case OR:
        return eval(p, c->a, auth, target, depth + 1) || eval(p, c->b, auth, target, depth + 1);
    }
    return false;
}

bool policy_check(const struct policy *p, const char *rule, const struct auth *auth, const struct strmap *target)
{
    struct rule *r;
    HASH_FIND_STR(p->rules, rule, r);
    if (!r) {
        log_error("a verb asks for a rule that no service declares", KV("rule", rule));
        return false;
    }
    static const struct strmap NO_TARGET = { 0 };
    return eval(p, r->check, auth, target ? target : &NO_TARGET, 0);
}

/* ---- loading ---- */

static const char *unknown_reference(const struct policy *p, const struct check *c)
{
    if (!c)
        return NULL;
    if (c->kind == RULE) {
        struct rule *r;
        HASH_FIND_STR(p->rules, c->left, r);
        return r ? NULL : c->left;
    }
    const char *name = unknown_reference(p, c->a);
    return name ? name : unknown_reference(p, c->b);
}

static int set_rule(struct policy *p, const char *name, const char *text, bool must_exist, const char *where,
                    struct fault *fault)
{
    struct rule *r;
    HASH_FIND_STR(p->rules, name, r);
    if (!r && must_exist)
        return fault_set(fault, 0, "policy", "%s: there is no rule \"%s\"", where, name);
    struct check *check = parse(p->arena, text);
    if (!check)
        return arena_failed(p->arena) ? -ENOMEM
                                      : fault_set(fault, 0, "policy", "%s: rule \"%s\" can't be read: %s", where,
                                                  name, text);
    if (!r) {
        r = ARENA_NEW(p->arena, struct rule);
        if (!r || !(r->name = arena_strdup(p->arena, name)))
            return -ENOMEM;
        HASH_ADD_KEYPTR(hh, p->rules, r->name, strlen(r->name), r);
    }
    r->check = check;
    return 0;
}

static char *quoted(char **at)
{
    char *s = *at + strspn(*at, " \t");
    char quote = *s;
    if (quote != '"' && quote != '\'')
        return NULL;
    char *end = strchr(++s, quote);
    if (!end)
        return NULL;
    *end = 0;
    *at = end + 1;
    return s;
}

static int load_file(struct policy *p, const char *path, struct fault *fault)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return fault_set(fault, 0, "policy", "%s: %s", path, strerror(errno));
    char line[4096], where[512];
    int r = 0;
    for (int number = 1; !r && fgets(line, sizeof(line), f); number++) {
        line[strcspn(line, "\r\n")] = 0;
        char *at = line + strspn(line, " \t");
        if (!*at || *at == '#')
            continue;
        (void)snprintf(where, sizeof(where), "%s:%d", path, number);
        char *name = quoted(&at);
        if (name)
            at += strspn(at, " \t");
        char *text = name && *at == ':' ? (at++, quoted(&at)) : NULL;
        if (!text)
            r = fault_set(fault, 0, "policy", "%s: expected \"rule\": \"check\"", where);
        else
            r = set_rule(p, name, text, true, where, fault);
    }
    (void)fclose(f);
    return r;
}

int policy_new(const struct service *const *services, const char *file, struct policy **ret, struct fault *fault)
{
    struct policy *p = calloc(1, sizeof(*p));
    if (!p || !(p->arena = arena_new(0))) {
        free(p);
        return -ENOMEM;
    }
    int r = 0;
    for (size_t i = 0; services[i] && !r; i++)
        for (size_t j = 0; j < services[i]->n_rules && !r; j++)
            r = set_rule(p, services[i]->rules[j].name, services[i]->rules[j].check, false, services[i]->name, fault);
    if (!r && file)
        r = load_file(p, file, fault);
    for (struct rule *rule = p->rules; rule && !r; rule = rule->hh.next) {
        const char *name = unknown_reference(p, rule->check);
        if (name)
            r = fault_set(fault, 0, "policy", "rule \"%s\" refers to \"%s\", which there is not", rule->name, name);
    }
    /* Each route's rule must be declared: a missing one would refuse everybody. */
    for (size_t i = 0; services[i] && !r; i++)
        for (size_t j = 0; j < services[i]->n_routes && !r; j++) {
            const char *name = services[i]->routes[j].rule;
            struct rule *rule = NULL;
            if (name)
                HASH_FIND_STR(p->rules, name, rule);
            if (name && !rule)
                r = fault_set(fault, 0, "policy", "route %s %s%s names rule \"%s\", which there is not",
                              services[i]->routes[j].method, services[i]->prefix, services[i]->routes[j].path, name);
        }
    if (r) {
        policy_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    HASH_CLEAR(hh, p->rules);
    arena_free(p->arena);
    free(p);
}
