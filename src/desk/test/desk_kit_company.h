/* The desk's test kit: changes of the administration, and a company. */
#ifndef DESK_TEST_DESK_KIT_COMPANY_H
#define DESK_TEST_DESK_KIT_COMPANY_H

#include "desk_kit_base.h"

/* ---- the administration's changes ---- */

struct kit_change {
    struct record_objects objects;
    struct record_mailboxes mailboxes;
    enum err err;
    char why[256];
    bool is_done;
    /* an order or a decision instead */
    enum queue_order order;
    uint64_t message, primary;
    uint16_t rcpt;
    enum continuity_evidence what;
};

static void kit_change_done(void *cookie, enum err err, const char *why)
{
    struct kit_change *c = cookie;
    pthread_mutex_lock(&kit->lock);
    c->err = err;
    snprintf(c->why, sizeof(c->why), "%s", why);
    c->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void kit_change_put(void *arg)
{
    struct kit_change *c = arg;
    kit_admin->host.put(kit_admin->host.arg, &c->objects, &c->mailboxes, kit_change_done, c);
}

static void kit_change_order(void *arg)
{
    struct kit_change *c = arg;
    kit_admin->host.order(kit_admin->host.arg, c->order, c->message, c->rcpt, SLICE("luca"),
                          SLICE("the test wants it"), kit_change_done, c);
}

static void kit_change_decide(void *arg)
{
    struct kit_change *c = arg;
    kit_admin->host.decide(kit_admin->host.arg, c->primary, c->what, SLICE("luca"),
                           SLICE("the test wants it"), kit_change_done, c);
}

static void kit_wait_change(struct kit_change *c)
{
    pthread_mutex_lock(&kit->lock);
    while (!c->is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static enum err kit_change(struct kit_change *c, void (*fn)(void *))
{
    c->is_done = false;
    kit_on_loop(fn, c);
    kit_wait_change(c);
    return c->err;
}

static enum err kit_order(enum queue_order what, uint64_t message, uint16_t rcpt)
{
    struct kit_change c = {.order = what, .message = message, .rcpt = rcpt};
    return kit_change(&c, kit_change_order);
}

static enum err kit_decide(uint64_t primary, enum continuity_evidence what)
{
    struct kit_change c = {.primary = primary, .what = what};
    return kit_change(&c, kit_change_decide);
}

/* ---- a company ---- */

struct kit_objects {
    struct record_object list[32];
    struct buf bodies[32];
    uint32_t n;
};

static struct buf *kit_object(struct kit_objects *all, enum object_kind kind, uint64_t id,
                              uint64_t tenant, const char *name)
{
    all->bodies[all->n] = buf_make(100000);
    all->list[all->n] = (struct record_object){.kind = (uint8_t)kind,
                                               .id = id,
                                               .tenant = tenant,
                                               .time = utc_now(),
                                               .by = SLICE("test"),
                                               .name = slice_str(name)};
    return &all->bodies[all->n++];
}

static enum err kit_put_objects(struct kit_objects *all, const struct record_mailboxes *mailboxes)
{
    struct kit_change c = {.objects = {all->list, all->n}};
    if (mailboxes)
        c.mailboxes = *mailboxes;
    for (uint32_t i = 0; i < all->n; i++)
        all->list[i].body = buf_slice(&all->bodies[i]);
    enum err err = kit_change(&c, kit_change_put);
    for (uint32_t i = 0; i < all->n; i++)
        buf_finish(&all->bodies[i]);
    all->n = 0;
    return err;
}

static void kit_person(struct kit_objects *all, uint64_t id, const char *address, const char *alias,
                       uint64_t inbox)
{
    struct dir_text addresses[] = {{slice_str(address)}, {slice_str(alias)}};
    struct dir_person p = {.name = slice_str(address),
                           .addresses = addresses,
                           .n_addresses = alias ? 2 : 1,
                           .is_covered = inbox != 0,
                           .inbox = inbox};
    dir_person_pack(kit_object(all, OBJECT_PERSON, id, KIT_TENANT, address), &p);
}

static void kit_primary(struct kit_objects *all, uint64_t id, uint64_t tenant, const char *name)
{
    struct dir_host host = {SLICE("127.0.0.1"), 2525};
    struct dir_primary p = {.name = slice_str(name), .hosts = &host, .n_hosts = 1};
    dir_primary_pack(kit_object(all, OBJECT_PRIMARY, id, tenant, name), &p);
}

struct kit_company {
    bool is_cut_through;
    const char *catch_all;
};

/* Quick to say that a primary is well again, and gives back without asking. */
static void kit_plan(struct kit_objects *all, uint64_t primary, uint64_t tenant)
{
    const struct continuity_plan *usual = &continuity_plan_default;
    struct dir_plan version = {.version = 1,
                               .approved_at = 1,
                               .approved_by = SLICE("luca"),
                               .bad_for_suspect = usual->bad_for_suspect,
                               .suspect_within_sec = usual->suspect_within_sec,
                               .tell_after_sec = usual->tell_after_sec,
                               .emergency_after_sec = usual->emergency_after_sec,
                               .calm_sec = usual->calm_sec,
                               .good_for_ready = 1,
                               .is_return_auto = true};
    struct dir_plans plans = {&version, 1};
    dir_plans_pack(kit_object(all, OBJECT_PLAN, primary, tenant, "plan"), &plans);
}

static void kit_found(struct kit_company how)
{
    struct kit_objects all = {.n = 0};
    struct dir_tenant tenant = {SLICE("rossi")};
    dir_tenant_pack(kit_object(&all, OBJECT_TENANT, KIT_TENANT, 0, "rossi"), &tenant);
    kit_primary(&all, KIT_PRIMARY, KIT_TENANT, "exchange");
    kit_plan(&all, KIT_PRIMARY, KIT_TENANT);
    struct dir_domain domain = {.name = SLICE("example.test"),
                                .primary = KIT_PRIMARY,
                                .form = DIR_INLINE,
                                .is_cut_through = how.is_cut_through,
                                .separators = SLICE("+"),
                                .catch_all = slice_str(how.catch_all),
                                .postmaster = SLICE("luca@example.test")};
    dir_domain_pack(kit_object(&all, OBJECT_DOMAIN, KIT_DOMAIN, KIT_TENANT, "example.test"),
                    &domain);
    domain = (struct dir_domain){.name = SLICE("hosted.test"), .form = DIR_HOSTED};
    dir_domain_pack(kit_object(&all, OBJECT_DOMAIN, KIT_HOSTED, KIT_TENANT, "hosted.test"),
                    &domain);
    kit_person(&all, KIT_ANNA, "anna@example.test", "info@example.test", KIT_BOX_ANNA);
    kit_person(&all, KIT_LUCA, "luca@example.test", NULL, KIT_BOX_LUCA);
    kit_person(&all, KIT_SARA, "sara@hosted.test", "nobody@hosted.test", KIT_BOX_SARA);
    kit_person(&all, 9, "boxless@hosted.test", NULL, 0);
    struct dir_text sales = {SLICE("sales@example.test")},
                    members[] = {{SLICE("anna@example.test")}, {SLICE("luca@example.test")}};
    struct dir_group group = {.name = SLICE("Sales"),
                              .addresses = &sales,
                              .n_addresses = 1,
                              .members = members,
                              .n_members = 2};
    dir_group_pack(kit_object(&all, OBJECT_GROUP, KIT_GROUP, KIT_TENANT, "sales@example.test"),
                   &group);
    tenant = (struct dir_tenant){SLICE("other")};
    dir_tenant_pack(kit_object(&all, OBJECT_TENANT, KIT_OTHER_TENANT, 0, "other"), &tenant);
    kit_primary(&all, KIT_OTHER_PRIMARY, KIT_OTHER_TENANT, "postfix");
    domain = (struct dir_domain){
        .name = SLICE("other.test"), .primary = KIT_OTHER_PRIMARY, .form = DIR_INLINE};
    dir_domain_pack(
        kit_object(&all, OBJECT_DOMAIN, KIT_OTHER_DOMAIN, KIT_OTHER_TENANT, "other.test"), &domain);
    kit_person(&all, KIT_OTTO, "otto@other.test", NULL, 0);
    all.list[all.n - 1].tenant = KIT_OTHER_TENANT;
    struct record_mailbox boxes[] = {
        {.id = KIT_BOX_ANNA, .person = KIT_ANNA, .tenant = KIT_TENANT},
        {.id = KIT_BOX_LUCA, .person = KIT_LUCA, .tenant = KIT_TENANT},
        {.id = KIT_BOX_SARA, .person = KIT_SARA, .tenant = KIT_TENANT}};
    for (size_t i = 0; i < 3; i++) {
        boxes[i].name = SLICE("Inbox");
        boxes[i].role = SLICE("inbox");
        boxes[i].uid_validity = 1;
    }
    struct record_mailboxes mailboxes = {boxes, 3};
    assert_int_equal(kit_put_objects(&all, &mailboxes), ERR_OK);
}

/* The mailboxes of the company's mail system can be opened from now on, by a master user. */
static void kit_open_mailboxes(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_host host = {SLICE("127.0.0.1"), 1143};
    struct dir_access access = {.hosts = &host,
                                .n_hosts = 1,
                                .tls = DIR_TLS_NEVER,
                                .master_user = SLICE("%s*admin"),
                                .master_secret = SLICE("secret")};
    dir_access_pack(kit_object(&all, OBJECT_ACCESS, KIT_PRIMARY, KIT_TENANT, "exchange"), &access);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

/* After kit_let_pass: what the store had put off in that time goes with the next thing that cannot
 * wait. */
static void kit_end_of_waiting(void)
{
    struct kit_objects all = {.n = 0};
    kit_later = kit_utc_later = 0;
    kit_person(&all, 10, "new@hosted.test", NULL, 0);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

#endif
