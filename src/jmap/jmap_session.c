/* The session object: what this server can do, for whom, where (RFC 8620 section 2). */
#include "jmap/jmap_int.h"

#include <stdio.h>

enum { ATTACHMENTS_MAX = 50 << 20 };

static json_t *core_capability(void)
{
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:[s, s, s]}", "maxSizeUpload", JMAP_SIZE_UPLOAD_MAX,
        "maxConcurrentUpload", JMAP_CONCURRENT_UPLOADS, "maxSizeRequest", JMAP_SIZE_REQUEST_MAX,
        "maxConcurrentRequests", JMAP_CONCURRENT_REQUESTS, "maxCallsInRequest", JMAP_CALLS_MAX,
        "maxObjectsInGet", JMAP_OBJECTS_GET_MAX, "maxObjectsInSet", JMAP_OBJECTS_SET_MAX,
        "collationAlgorithms", "i;ascii-casemap", "i;ascii-numeric", "i;octet");
}

static json_t *mail_capability(const struct jmap_caller *who)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:b}", "maxMailboxesPerEmail",
                          JMAP_MAILBOXES_PER_EMAIL_MAX, "maxMailboxDepth", JMAP_MAILBOX_DEPTH_MAX,
                          "maxSizeMailboxName", JMAP_MAILBOX_NAME_MAX, "maxSizeAttachmentsPerEmail",
                          who->size_max && who->size_max < ATTACHMENTS_MAX ? (int)who->size_max
                                                                           : ATTACHMENTS_MAX,
                          "mayCreateTopLevelMailbox", 1);
    json_object_set_new(o, "emailQuerySortOptions",
                        json_pack("[s, s, s, s, s, s, s, s, s]", "receivedAt", "size", "from", "to",
                                  "subject", "sentAt", "hasKeyword", "allInThreadHaveKeyword",
                                  "someInThreadHaveKeyword"));
    return o;
}

static json_t *account_capabilities(const struct jmap_caller *who)
{
    json_t *o = json_object();
    json_object_set_new(o, "urn:ietf:params:jmap:core", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:mail", mail_capability(who));
    json_object_set_new(o, "urn:ietf:params:jmap:submission",
                        json_pack("{s:i, s:{s:[s, s], s:[], s:[], s:[]}}", "maxDelayedSend",
                                  31 * 86400, "submissionExtensions", "FUTURERELEASE", "2678400",
                                  "datetime", "DSN", "8BITMIME", "SMTPUTF8"));
    json_object_set_new(o, "urn:ietf:params:jmap:vacationresponse", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:quota", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:blob",
                        json_pack("{s:i, s:i, s:[s, s, s], s:[s, s]}", "maxSizeBlobSet",
                                  JMAP_SIZE_REQUEST_MAX, "maxDataSources", 64, "supportedTypeNames",
                                  "Email", "Mailbox", "Thread", "supportedDigestAlgorithms", "sha",
                                  "sha-256"));
    return o;
}

static json_t *primary_accounts(const char *account)
{
    static const char *const urns[] = {
        "urn:ietf:params:jmap:core",       "urn:ietf:params:jmap:mail",
        "urn:ietf:params:jmap:submission", "urn:ietf:params:jmap:vacationresponse",
        "urn:ietf:params:jmap:quota",      "urn:ietf:params:jmap:blob"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof(urns) / sizeof(urns[0]); i++)
        json_object_set_new(o, urns[i], json_string(account));
    return o;
}

static json_t *capabilities(void)
{
    json_t *o = json_object();
    json_object_set_new(o, "urn:ietf:params:jmap:core", core_capability());
    json_object_set_new(o, "urn:ietf:params:jmap:mail", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:submission", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:vacationresponse", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:quota", json_object());
    json_object_set_new(o, "urn:ietf:params:jmap:blob", json_object());
    return o;
}

/* Everything but its own state. */
static json_t *session(const struct jmap_caller *who)
{
    char account[JMAP_ID_TEXT];
    jmap_id('A', who->person, account);
    struct slice main_address = who->n_addresses ? who->addresses[0] : SLICE("");
    json_t *one = json_pack("{s:o, s:b, s:b, s:o}", "name", jmap_text(main_address), "isPersonal",
                            1, "isReadOnly", 0, "accountCapabilities", account_capabilities(who));
    json_t *accounts = json_object();
    json_object_set_new(accounts, account, one);
    json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "capabilities", capabilities(), "accounts",
                          accounts, "primaryAccounts", primary_accounts(account), "username",
                          jmap_text(main_address));
    static const struct {
        const char *name, *path;
    } urls[] = {
        {"apiUrl", "/jmap/api"},
        {"downloadUrl", "/jmap/download/{accountId}/{blobId}/{name}?accept={type}"},
        {"uploadUrl", "/jmap/upload/{accountId}/"},
        {"eventSourceUrl", "/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}"},
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        SCOPED(buf_finish) struct buf url = buf_make(2000);
        buf_adds(&url, who->origin);
        buf_adds(&url, slice_str(urls[i].path));
        json_object_set_new(o, urls[i].name, jmap_text(buf_slice(&url)));
    }
    return o;
}

static void state_of(const json_t *session, char ret[JMAP_SESSION_STATE_TEXT])
{
    SCOPED(buf_finish) struct buf text = buf_make(64 << 10);
    jmap_write(&text, json_incref((json_t *)(uintptr_t)session)); /* in the order it was made */
    snprintf(ret, JMAP_SESSION_STATE_TEXT, "s%08x%08x", crc32c(0, text.p, text.n),
             crc32c(0x5357, text.p, text.n));
}

void jmap_session_state(const struct jmap_caller *who, char ret[JMAP_SESSION_STATE_TEXT])
{
    json_t *o = session(who);
    state_of(o, ret);
    json_decref(o);
}

unsigned jmap_session(struct jmap *, const struct jmap_caller *who, struct buf *out)
{
    char state[JMAP_SESSION_STATE_TEXT];
    json_t *o = session(who);
    state_of(o, state);
    json_object_set_new(o, "state", json_string(state));
    jmap_write(out, o);
    return 200;
}

/* ---- Core/echo ---- */

void jmap_core_echo(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_answer(r, c, c->name, json_incref(c->args));
}
