/*
 * Members (projects that an image is shared with) and tags.
 *
 * Only shared images have members. The owner says who is a member, the member says whether it
 * takes the image: neither can do the other's part.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>

#define MEMBERS_MAX 128
#define TAGS_MAX 128

static struct image_member *member_of(struct image *i, const char *project_id)
{
    VEC_FOREACH (m, &i->members)
        if (str_eq(m->member_id, project_id))
            return m;
    return NULL;
}

static void member_render(const struct image *i, const struct image_member *m, struct json_out *o)
{
    char text[TIME_TEXT_SIZE];
    json_open_object(o);
    json_put_string(o, "member_id", m->member_id);
    json_put_string(o, "image_id", i->head.id);
    json_put_string(o, "status", m->status);
    json_put_string(o, "created_at", time_format(m->created_at, TIME_ISO_Z, text));
    json_put_string(o, "updated_at", time_format(m->updated_at, TIME_ISO_Z, text));
    json_put_string(o, "schema", "/v2/schemas/member");
    json_close_object(o);
}

static int shared_image(struct call *c, struct image **ret)
{
    int r = image_find(c, call_param(c, "image_id"), ret);
    if (r == 0 && !str_eq((*ret)->visibility, "shared"))
        return call_fault(c, 403, "Forbidden", "Only shared images have members.");
    return r;
}

static int no_member(struct call *c)
{
    return call_fault(c, 404, "NotFound", "%s not found in the member list of the image %s.",
                      call_param(c, "member_id"), call_param(c, "image_id"));
}

int members_list(struct call *c)
{
    struct image *i;
    int r = call_read(c);
    if (r == 0)
        r = shared_image(c, &i);
    if (r != 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "members");
    VEC_FOREACH (m, &i->members)
        if (image_owned(c, i) || str_eq(m->member_id, c->auth->project_id))
            member_render(i, m, &c->out);
    json_close_array(&c->out);
    json_put_string(&c->out, "schema", "/v2/schemas/members");
    json_close_object(&c->out);
    return 0;
}

int members_show(struct call *c)
{
    struct image *i;
    int r = call_read(c);
    if (r == 0)
        r = image_find(c, call_param(c, "image_id"), &i);
    if (r != 0)
        return r;
    const struct image_member *m = member_of(i, call_param(c, "member_id"));
    if (!m || !str_eq(i->visibility, "shared") ||
        (!image_owned(c, i) && !str_eq(m->member_id, c->auth->project_id)))
        return no_member(c);
    member_render(i, m, &c->out);
    return 0;
}

static int create_write(struct call *c)
{
    const char *project = c->data;
    struct image *i;
    int r = shared_image(c, &i);
    if (r != 0)
        return r;
    if (!image_owned(c, i))
        return call_fault(c, 403, "Forbidden", "Not allowed to create members for image %s.", i->head.id);
    r = call_require_project(c, "image:add_member", i->owner);
    if (r != 0)
        return r;
    if (member_of(i, project))
        return call_fault(c, 409, "Duplicate", "Member %s is duplicated for image %s", project, i->head.id);
    if (i->members.n >= MEMBERS_MAX)
        return call_fault(c, 413, "LimitExceeded", "Image member limit exceeded for image %s: %d", i->head.id,
                          MEMBERS_MAX);
    struct image_member *m = vec_add(c->arena, &i->members);
    if (!m)
        return -ENOMEM;
    *m = (struct image_member){
        .member_id = project, .status = "pending", .created_at = clock_wall(), .updated_at = clock_wall()
    };
    r = txn_put(c->txn, &IMAGE_KIND, i);
    if (r == 0)
        member_render(i, m, &c->out);
    return r;
}

int members_create(struct call *c)
{
    const char *project = json_get_string(c->body, "member");
    if (!json_is_object(c->body) || !json_object_get(c->body, "member"))
        return call_fault(c, 400, "BadRequest", "Member to be added not specified");
    if (str_empty(project))
        return call_fault(c, 400, "BadRequest", "Member can't be empty");
    if (strlen(project) > 255)
        return call_fault(c, 400, "BadRequest", "Invalid member id: it is too long");
    c->data = arena_strdup(c->arena, project);
    return call_write(c, create_write);
}

static int update_write(struct call *c)
{
    struct image *i;
    int r = shared_image(c, &i);
    if (r != 0)
        return r;
    const char *id = call_param(c, "member_id"), *me = c->auth->project_id;
    if (!call_is_admin(c) && (str_eq(i->owner, me) || !str_eq(id, me)))
        return call_fault(c, 403, "Forbidden", "Not allowed to update members for image %s.", i->head.id);
    struct image_member *m = member_of(i, id);
    if (!m)
        return no_member(c);
    r = call_require(c, "image:modify_member", NULL);
    if (r != 0)
        return r;
    m->status = c->data;
    m->updated_at = clock_wall();
    r = txn_put(c->txn, &IMAGE_KIND, i);
    if (r == 0)
        member_render(i, m, &c->out);
    return r;
}

int members_update(struct call *c)
{
    const char *status = json_get_string(c->body, "status");
    if (!status)
        return call_fault(c, 400, "BadRequest", "Status not specified");
    if (!STREQ(status, "pending") && !STREQ(status, "accepted") && !STREQ(status, "rejected"))
        return call_fault(c, 400, "BadRequest",
                          "Incorrect request: Status must be \"pending\", \"accepted\" or "
                          "\"rejected\".");
    c->data = arena_strdup(c->arena, status);
    return call_write(c, update_write);
}

static int delete_write(struct call *c)
{
    struct image *i;
    int r = shared_image(c, &i);
    if (r != 0)
        return r;
    if (!image_owned(c, i))
        return call_fault(c, 403, "Forbidden", "Not allowed to delete members for image %s.", i->head.id);
    r = call_require_project(c, "image:delete_member", i->owner);
    if (r != 0)
        return r;
    struct image_member *m = member_of(i, call_param(c, "member_id"));
    if (!m)
        return no_member(c);
    vec_remove(&i->members, (size_t)(m - i->members.v));
    return txn_put(c->txn, &IMAGE_KIND, i);
}

int members_delete(struct call *c)
{
    return call_write(c, delete_write);
}

/* ---- tags ---- */

static int put_write(struct call *c)
{
    const char *tag = call_param(c, "tag");
    struct image *i;
    int r = image_find_own(c, call_param(c, "image_id"), "image:modify_image", &i);
    if (r != 0 || strv_has(&i->tags, tag))
        return r;
    if (i->tags.n >= TAGS_MAX)
        return call_fault(c, 413, "LimitExceeded",
                          "Image tag limit exceeded for image %s: Attempted: %zu, Maximum: "
                          "%d",
                          i->head.id, i->tags.n + 1, TAGS_MAX);
    return strv_add(c->arena, &i->tags, tag) ? image_save(c->txn, i) : -ENOMEM;
}

int tags_put(struct call *c)
{
    if (strlen(call_param(c, "tag")) > 255)
        return call_fault(c, 400, "BadRequest", "Tag value cannot be longer than 255 characters");
    return call_write(c, put_write);
}

static int drop_write(struct call *c)
{
    struct image *i;
    int r = image_find_own(c, call_param(c, "image_id"), "image:modify_image", &i);
    if (r != 0)
        return r;
    if (!strv_drop(&i->tags, call_param(c, "tag")))
        return call_fault(c, 404, "NotFound", "Tag '%s' is not one of the image.", call_param(c, "tag"));
    return image_save(c->txn, i);
}

int tags_delete(struct call *c)
{
    return call_write(c, drop_write);
}
