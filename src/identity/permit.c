/*
 * What a token with access rules may call: only what one of its rules names. In a rule's path
 * "*" and "{name}" stand for one segment, "**" for any rest.
 */
#include "identity/internal.h"

static bool path_fits(const char *pattern, const char *path)
{
    while (*pattern && *path) {
        if (pattern[0] == '*' && pattern[1] == '*') {
            pattern += 2;
            for (;; path++) {
                if (path_fits(pattern, path))
                    return true;
                if (!*path)
                    return false;
            }
        }
        if (*pattern == '*' || *pattern == '{') {
            size_t n = *pattern == '*' ? 1 : strcspn(pattern, "}") + 1;
            size_t length = strcspn(path, "/");
            if (!length || n > strlen(pattern))
                return false;
            pattern += n;
            path += length;
            continue;
        }
        if (*pattern != *path)
            return false;
        pattern++;
        path++;
    }
    return !*path && (!*pattern || STREQ(pattern, "**"));
}

bool access_rules_permit(const struct auth *auth, const struct service *service, const char *method,
                         const char *path)
{
    const struct token_info *i = auth_info(auth);
    VEC_FOREACH (rule, &i->access_rules) {
        bool same = str_eq(rule->service, service->type) || str_eq(rule->service, service->name);
        if (same && str_eq(rule->method, method) && path_fits(str_or(rule->path, ""), path))
            return true;
    }
    return false;
}
