/* The commands, the flags and how answers look. The manual page is made from this. */
#include "cli/cli_int.h"

static const struct flag flags[] = {
    {"tenant", "NAME", "tenant", FLAG_TEXT, "The company."},
    {"primary", "NAME", "primary", FLAG_TEXT, "The mail system."},
    {"form", "FORM", "form", FLAG_TEXT,
     "inline (the MX points here), second (we are the second MX) or hosted."},
    {"cut-through", NULL, "cut_through", FLAG_ON,
     "Offer each message to the primary while its sender waits."},
    {"separators", "SIGNS", "separators", FLAG_TEXT, "Of plus addresses; \"\" for none."},
    {"catch-all", "ADDRESS", "catch_all", FLAG_TEXT, "Gets what nobody else has; \"\" for nobody."},
    {"postmaster", "ADDRESS", "postmaster", FLAG_TEXT,
     "Gets postmaster and abuse; \"\" for the primary."},
    {"host", "HOST:PORT", "hosts", FLAG_LIST, "Where it takes mail; may be repeated, in order."},
    {"network", "CIDR", "networks", FLAG_LIST, "It sends from here; may be repeated."},
    {"tls", "WAY", "tls", FLAG_TEXT, "may, must, verify or never."},
    {"tls-name", "NAME", "tls_name", FLAG_TEXT, "The name expected in its certificate."},
    {"shared", NULL, "shared", FLAG_ON, "Others send from these networks too."},
    {"certificate", "SHA256", "certificate", FLAG_TEXT, "Of its client certificate."},
    {"xclient", NULL, "xclient", FLAG_ON, "Tell it the original client by XCLIENT."},
    {"connections", "NUMBER", "connections", FLAG_NUMBER, "Deliveries to it at once."},
    {"name", "NAME", "name", FLAG_TEXT, "What people call them."},
    {"language", "TAG", "language", FLAG_TEXT, "Of its people: en, it, de, fr or es."},
    {"alias", "ADDRESS", "aliases", FLAG_LIST, "A further address; may be repeated."},
    {"member", "ADDRESS", "members", FLAG_LIST, "A member; may be repeated."},
    {"covered", NULL, "covered", FLAG_ON, "With a continuity mailbox (the default)."},
    {"generate", NULL, "generate", FLAG_ON, "Make one, and print it."},
    {"relayed", NULL, "covered", FLAG_OFF, "Without a mailbox: mail is only passed on."},
    {"essential", NULL, "essential", FLAG_ON, "First in line when mail is given back."},
    {"kind", "KIND", "kind", FLAG_TEXT, "person, shared or contact."},
    {"complete", NULL, "complete", FLAG_ON,
     "This is everybody: who is not in the list is removed."},
    {"force", NULL, "force", FLAG_ON, "Even if more than a tenth would be removed."},
    {"why", "TEXT", "why", FLAG_TEXT, "The reason, for those who read it later."},
    {"match", "TEXT", "match", FLAG_TEXT, "Only with this in the address or name."},
    {"address", "ADDRESS", "address", FLAG_TEXT, "Only to or from this address."},
    {"disposition", "FATE", "disposition", FLAG_TEXT,
     "waiting, held, delivered, returned, removed, merged or refused."},
    {"limit", "NUMBER", "limit", FLAG_NUMBER, "At most so many (100)."},
    {"after", "NEXT", "after", FLAG_TEXT, "Go on behind the list before."},
    {"class", "CLASS", "class", FLAG_TEXT, "unknown, ok, notice or alarm."},
    {"episode", "ID", "episode", FLAG_TEXT, "An emergency; `state history` lists them."},
    {"messages", NULL, "messages", FLAG_ON, "Each message and its fate, one line of JSON each."},
    {"since", "TIME", "since", FLAG_TIME, "Not older: 2h, 3d, 08:30, 2026-11-21."},
    {"until", "TIME", "until", FLAG_TIME, "Not newer; the end: 08:30, +2h."},
    {"from", "TIME", "from", FLAG_TIME, "The beginning: 22:00, +30m."},
    {"owner", "TEXT", "owner", FLAG_TEXT, "Who answers for it."},
    {"bad-for-suspect", "NUMBER", "bad_for_suspect", FLAG_NUMBER, "Failures that make it suspect."},
    {"suspect-within", "SECONDS", "suspect_within", FLAG_NUMBER, "From one failure to the next."},
    {"tell-after", "SECONDS", "tell_after", FLAG_NUMBER, "Of the first failure: tell people."},
    {"emergency-after", "SECONDS", "emergency_after", FLAG_NUMBER,
     "Of the first failure; 0: only by hand."},
    {"calm", "SECONDS", "calm", FLAG_NUMBER, "Well for so long: the trouble is over."},
    {"good-for-ready", "NUMBER", "good_for_ready", FLAG_NUMBER, "Successes that make it ready."},
    {"ready-over", "SECONDS", "ready_over", FLAG_NUMBER, "Over at least so long."},
    {"return", "HOW", "return", FLAG_TEXT, "approve or auto."},
    {"method", "HOW", "method", FLAG_TEXT, "smtp or append."},
    {"sending", "STATE", "sending", FLAG_TEXT, "People may send from suspect or emergency on."},
    {"canary-every", "SECONDS", "canary_every", FLAG_NUMBER, "Between test messages; 0: none."},
    {"login-every", "SECONDS", "login_every", FLAG_NUMBER, "Between test log-ins; 0: none."},
    {"tls-at-once", NULL, "tls_at_once", FLAG_ON, "TLS from the first byte (port 993)."},
    {"mechanism", "NAME", "mechanism", FLAG_TEXT, "plain, login or xoauth2."},
    {"canary", "ADDRESS", "canary", FLAG_TEXT, "A test mailbox there; \"\" for none."},
    {"user", "NAME", "user", FLAG_TEXT, "Its log-in."},
    {"secret", "TEXT", "secret", FLAG_SECRET,
     "Password, token or key of a signature; -: from standard input."},
    {"master-user", "NAME", "master_user", FLAG_TEXT, "May open everybody's mailbox."},
    {"master-secret", "TEXT", "master_secret", FLAG_SECRET,
     "Its password; -: from standard input."},
    {"grant", "HOW", "grant", FLAG_TEXT,
     "client (Microsoft 365), refresh (each person agreed) or assertion (Google)."},
    {"client-id", "NAME", "client_id", FLAG_TEXT, "Of the application that asks for tokens."},
    {"client-secret", "TEXT", "client_secret", FLAG_SECRET,
     "Its secret, or its private key in PEM; -: from standard input."},
    {"scope", "TEXT", "scope", FLAG_TEXT, "What a token is asked for."},
    {"dry-run", NULL, "dry_run", FLAG_ON, "Only look and count."},
    {"sender", "ADDRESS", "sender", FLAG_TEXT,
     "Of the test message: of a domain that forbids others to send in its name."},
    {"make", "MAKE", "make", FLAG_TEXT,
     "exchange, exchange-online, google, zimbra or postfix; for advice."},
    {"days", "DAYS", "days", FLAG_NUMBER,
     "That mail is kept which the company's mail system has, too; 0: for ever."},
    {"essential-days", "DAYS", "essential_days", FLAG_NUMBER, "The same, of essential people."},
    {"hosted-days", "DAYS", "hosted_days", FLAG_NUMBER,
     "That mail of hosted addresses is kept, which nobody has but us; 0: for ever."},
    {"own-days", "DAYS", "own_days", FLAG_NUMBER,
     "That what people sent or imported is kept, once it is given back; 0: for ever."},
    {"max-mib", "MIB", "max_mib", FLAG_NUMBER,
     "Of a mailbox; above, the oldest mail goes that the company's mail system has, too."},
    {"essential-mib", "MIB", "essential_mib", FLAG_NUMBER, "The same, of essential people."},
    {"quota-mib", "MIB", "quota_mib", FLAG_NUMBER,
     "Of a mailbox; above, nothing more is put in, and hosted mail has to wait; 0: no bound."},
    {"zone", "NAME", "zone", FLAG_TEXT, "Time zone, for example Europe/Rome."},
    {"holiday", "DAY", "holidays", FLAG_LIST, "A day without work; may be repeated."},
    {"url", "URL", "url", FLAG_TEXT, "Of a webhook or of a token endpoint: https://..."},
    {"mail", "ADDRESS", "mail", FLAG_TEXT, "Tell this address by mail."},
    {"least", "CLASS", "least", FLAG_TEXT, "notice (the default) or alarm: nothing lesser."},
};

const struct flag *flag_find(struct slice name)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (slice_eq(name, slice_str(flags[i].name)))
            return &flags[i];
    return NULL;
}

/* ---- how answers look ---- */

#define STATE_COLUMNS                                                                              \
    "Mail system=primary|Company=tenant|State=state|Since=since@|Waiting=waiting|Ready=ready|"     \
    "Seen last=last"
#define ROW_COLUMNS                                                                                \
    "Message=message|#=rcpt|Received=received@|From=from|To=to|Fate=disposition|Try=attempts|"     \
    "Next=due@|Said last=text"

static const struct view status_view = {
    .lines = "Node=node|Version=version|Running since=started@|New mail=text|"
             "Waiting=queue.waiting|Delivered=queue.delivered|Oldest=queue.oldest@|"
             "Disk free=store.disk_free_bytes#|Store works=store.ok|Search=search.text",
    .tables = {{"Mail systems", "primaries", STATE_COLUMNS,
                "None yet: staffetta primary add NAME --tenant COMPANY --host HOST:25"},
               {"Processes", "processes",
                "Process=role|#=number|Pid=pid|Running since=since@|Started again=restarts",
                "None."}},
};
static const struct view tenants_view = {
    .tables = {{NULL, "tenants",
                "Name=name|Domains=domains|Mail systems=primaries|People=persons|Groups=groups|"
                "List complete=complete_at@",
                "No companies yet: staffetta tenant add NAME"}},
};
static const struct view tenant_view = {
    .lines = "Name=name|Language=language|Domains=domains|Mail "
             "systems=primaries|People=persons|Groups=groups|"
             "List complete=complete_at@",
};
static const struct view domains_view = {
    .tables = {{NULL, "domains",
                "Domain=name|Company=tenant|Form=form|Mail system=primary|Cut-through=cut_through|"
                "Catch-all=catch_all",
                "No domains yet: staffetta domain add NAME --tenant COMPANY --primary NAME"}},
};
static const struct view domain_view = {
    .lines = "Domain=name|Company=tenant|Form=form|Mail system=primary|Cut-through=cut_through|"
             "Separators=separators|Catch-all=catch_all|Postmaster=postmaster|"
             "DKIM selectors=selectors",
};
static const struct view dkim_view = {
    .tables = {{NULL, "domains", "Domain=name|Company=tenant|DKIM selectors=selectors",
                "No domains yet: staffetta domain add NAME --tenant COMPANY --primary NAME"}},
};
static const struct view keys_view = {
    .lines = "Domain=domain|What to do=text",
    .tables = {{NULL, "keys", "Selector=selector|Algorithm=algorithm|State=state|Made=created@",
                "No keys."},
               {"DNS records", "keys", "Write these into the zone=dns", ""}},
};
static const struct view primaries_view = {
    .tables = {{NULL, "primaries",
                "Name=name|Company=tenant|Hosts=hosts|TLS=tls|State=state.state|"
                "Waiting=state.waiting",
                "No mail systems yet: staffetta primary add NAME --tenant COMPANY --host HOST:25"}},
};
static const struct view primary_view = {
    .lines = "Name=name|Company=tenant|Hosts=hosts|TLS=tls|Name in certificate=tls_name|"
             "Sends from=networks|Others send from there=shared|Certificate=certificate|"
             "XCLIENT=xclient|Connections=connections|State=state.state|Since=state.since@|"
             "Waiting=state.waiting|Looked at=state.last_probe@|Seen last=state.last|"
             "Software=state.software|Largest message=state.size_max#",
};
static const struct view check_view = {
    .lines = "Mail system=primary|Well=ok|Seen=text|Make=make",
    .tables = {{"The way back", "checks", "Check=check|Result=result|Seen=text|What to set=advice",
                "Nothing was tried."}},
    .must_be_true = "ok",
};
static const struct view persons_view = {
    .tables =
        {{NULL, "persons",
          "Address=address|Name=name|Company=tenant|Covered=covered|Kind=kind|Aliases=aliases",
          "Nobody yet: staffetta person add ADDRESS"}},
};
static const struct view person_view = {
    .lines = "Address=address|Name=name|Company=tenant|Aliases=aliases|Covered=covered|"
             "Essential=essential|Kind=kind|Mail system=primary",
};
static const struct view login_made_view = {
    .lines = "Address=address|Password=password|Code=code|Until=until@|Name=name|Token=token|"
             "What it means=text",
};
static const struct view tokens_view = {
    .lines = "Address=address|Has a password=has_password|Since=password_at@|"
             "Code until=code_until@",
    .tables = {{"Tokens and sessions", "tokens",
                "Id=id|Name=name|Kind=kind|Made=created@|Used last=used@|Expires=expires@",
                "None."}},
};
static const struct view mailbox_view = {
    .lines = "Address=address|Given back=given|Was so already=already|Waiting=waiting|"
             "Not there=absent|Ambiguous=ambiguous|Refused=refused|"
             "Looked for before they went again=doubtful|Last=time@|How it stands=text",
    .tables = {{"Not given back", "changes",
                "Message=message|Subject=subject|To do=what|Result=result|Folder=folder|"
                "Said about it=text",
                "Nothing."}},
};
static const struct view imported_view = {
    .lines = "Added=added|Changed=changed|Unchanged=unchanged|Removed=removed|"
             "List complete=complete_at@",
};
static const struct view groups_view = {
    .tables = {{NULL, "groups", "Address=address|Name=name|Company=tenant|Members=members",
                "No groups yet: staffetta group add ADDRESS --member ADDRESS"}},
};
static const struct view group_view = {
    .lines = "Address=address|Name=name|Company=tenant|Aliases=aliases|Members=members",
};
static const struct view removed_view = {.lines = "Removed=removed|Note=text"};
static const struct view states_view = {
    .tables = {{NULL, "states", STATE_COLUMNS, "No mail systems yet: staffetta primary add"}},
};
static const struct view state_view = {
    .lines = "Mail system=primary|Company=tenant|State=state|Since=since@|Waiting=waiting|"
             "Ready to return=ready|Failures in a row=bad|Successes in a row=good|"
             "First failure=first_bad@|Well last=last_good@|Failed last=last_bad@|"
             "Looked at=last_probe@|Seen last=last|Software=software|Those in charge know=told|"
             "Declared by a person=by_hand|We are blind=blind|Isolated=isolated|Paused=paused|"
             "Clock doubted=clock_doubted|Maintenance from=maintenance_from@|"
             "Maintenance until=maintenance_until@|Given back=returning.done|"
             "Of=returning.total|A minute=returning.per_minute|"
             "Seconds left=returning.remaining_seconds",
    .tables = {{"What is watched", "aspects",
                "Aspect=aspect|Failures in a row=bad|Successes=good|Well last=last_good@|"
                "Failed last=last_bad@|Seen last=last",
                "Nothing yet."}},
};
static const struct view preview_view = {
    .lines = "Giving back=text",
    .tables = {{NULL, "mailboxes",
                "Mailbox=address|Essential=essential|Messages=recipients|Held=held|Size=bytes#|"
                "Oldest=oldest@",
                "Nothing waits for it."}},
};
static const struct view history_view = {
    .tables = {{NULL, "episodes",
                "Id=id|Mail system=primary|Company=tenant|First failure=first_failure@|"
                "Emergency=emergency@|Giving back=returning@|End=end@|Seconds=seconds|"
                "Failed again=deaths|Over=over",
                "There was no emergency yet."}},
};
const struct view view_again = {
    .lines = "Mail system=primary|Taken since=since@|Confirmed then=found|Looked for=looked|"
             "In mailboxes=mailboxes|It still has=present|It has lost=absent|Given again=given|"
             "Not kept here any more=gone|Could not be looked for=unsure|How it stands=text",
};
static const struct view replay_view = {
    .lines = "Mail system=primary|Pieces of evidence=evidence|Emergencies=emergencies|"
             "Times people were told=told|At the end=ends|Not all of it=partial",
    .tables = {{"Changes", "changes", "Time=time@|From=from|To=to|Evidence=evidence",
                "The state would never have changed."}},
};
#define PLAN_LINES(p)                                                                              \
    "Version=" p "version|Owner=" p "owner|Suspect after failures=" p "bad_for_suspect|"           \
    "Each within seconds=" p "suspect_within|Tell after seconds=" p "tell_after|"                  \
    "Emergency after seconds (0: by hand)=" p "emergency_after|Calm after seconds=" p "calm|"      \
    "Ready after successes=" p "good_for_ready|Over seconds=" p "ready_over|"                      \
    "Give back=" p "return|By=" p "method|Sending from=" p "sending|"                              \
    "Canary every seconds=" p "canary_every|Log-in every seconds=" p "login_every|"                \
    "Why=" p "why|Written=" p "changed_at@|Written by=" p "changed_by|"                            \
    "Approved=" p "approved_at@|Approved by=" p "approved_by"
static const struct view plan_view = {
    .lines = "Mail system=primary|Company=tenant|State of it=text|" PLAN_LINES(
        "plan.") "|"
                 "Waits for approval: version=pending.version|… its reason=pending.why|"
                 "… emergency after seconds=pending.emergency_after|… give back=pending.return",
};
static const struct view plans_view = {
    .tables = {{NULL, "plans",
                "Version=version|In force=in_force|Written=changed_at@|By=changed_by|Why=why|"
                "Approved=approved_at@|By whom=approved_by|Emergency after=emergency_after|"
                "Give back=return",
                "Nobody wrote a plan: the built-in one is in force."}},
};
static const struct view access_view = {
    .lines = "Mail system=primary|Company=tenant|IMAP=hosts|TLS=tls|At once=tls_at_once|"
             "Name in certificate=tls_name|Mechanism=mechanism|Canary=canary|User=user|"
             "Secret known=has_secret|Master user=master_user|"
             "Master secret known=has_master_secret|What it means=text",
};
static const struct view tokens_from_view = {
    .lines = "Mail system=primary|Company=tenant|How=grant|Endpoint=url|Application=client_id|"
             "Secret known=has_client_secret|Scope=scope|What it means=text",
};
static const struct view mail_login_view = {
    .lines = "Address=address|User=user|Mechanism=mechanism|Secret known=has_secret|"
             "What it means=text",
};
static const struct view calendar_view = {
    .lines = "Company=tenant|Time zone=zone|Holidays=holidays",
};
static const struct view keeping_view = {
    .lines = "Company=tenant|Days=days|Days, essential people=essential_days|"
             "Days, hosted=hosted_days|Days, own=own_days|MiB=max_mib|"
             "MiB, essential people=essential_mib|Quota in MiB=quota_mib",
};
static const struct view quota_view = {
    .lines = "Address=address|Quota in MiB=quota_mib|What it means=text",
};
static const struct view clock_view = {.lines = "Doubted=doubted|What was seen=text"};
static const struct view queue_view = {
    .tables = {{NULL, "rows", ROW_COLUMNS, "Nothing waits and nothing is held."}},
};
static const struct view hold_view = {
    .tables = {{NULL, "rows",
                "Message=message|#=rcpt|Received=received@|From=from|To=to|Rule=reason|"
                "By=by|Why=text",
                "Nothing is held."}},
};
static const struct view doubles_view = {
    .tables = {{NULL, "rows",
                "Message=message|#=rcpt|Received=received@|From=from|To=to|Tried=changed@|"
                "Mail system=primary",
                "No delivery may have arrived twice."}},
};
static const struct view ordered_view = {
    .lines = "Message=message|Recipients done=done",
    .tables = {{NULL, "rows", "#=rcpt|Done=done|Why not=text", "None."}},
};
static const struct view ledger_view = {
    .lines = "Verdict=text",
    .tables = {{"Company by company", "tenants",
                "Company=tenant|Balanced=balanced|Accepted=accepted|Waiting=waiting|"
                "Delivered=delivered|Held=held|Returned=returned|Removed=removed|Merged=merged",
                "No companies yet."}},
    .must_be_true = "balanced",
};
static const struct view events_view = {
    .tables = {{NULL, "events", "Time=time@|Class=class|Event=name|About=subject|By=by|What=text",
                "Nothing happened in this time."}},
};
static const struct view limits_view = {
    .tables = {{NULL, "limits",
                "Limit=name|Value=limit|Unit=unit|Set by=set_by|Setting=setting|Since=since@|"
                "Before=before|Owner=owner|Class=class|Reached=count_ever|Last=last@|Who=example",
                "None."},
               {"Mail systems", "primaries",
                "Mail system=primary|Company=tenant|Deliveries at once=deliveries|Set by=set_by|"
                "Largest message=message_bytes#",
                "No mail systems yet."}},
};
static const struct view watches_view = {
    .tables = {{NULL, "watches",
                "Verdict=class|About=about|Name=name|Check=check|Since=since@|Found=found",
                "Nothing was looked at yet."}},
};
static const struct view limit_tried_view = {
    .lines = "Limit=name|Tried=value|In force=in_force|Unit=unit|Seen since=since@|Counted=counted|"
             "Of=of|Would be refused=refused|First: when=first.time@|First: value=first.value|"
             "First: who=first.who|First: message=first.message|Worst: when=worst.time@|"
             "Worst: value=worst.value|Worst: who=worst.who|Worst: message=worst.message|"
             "What it means=text",
};
static const struct view store_view = {
    .lines = "Works=ok|Disk free=disk_free_bytes#|Disk size=disk_total_bytes#|Batches=batches|"
             "Syncs=syncs|Records=records|Written=written_bytes#|Of this messages=body_bytes#|"
             "Log files=segments|Kept ready=pool|Used again=recycled|Log ends at=end|"
             "Index knows up to=applied",
};
static const struct view incidents_view = {
    .tables = {{NULL, "incidents",
                "Incident=incident|State=state|Class=class|About=subject|Company=tenant|"
                "Since=opened@|Over=closed@|Taken by=taken_by|Last=last",
                "Nothing goes on, and nothing went on lately."}},
};
static const struct view incident_view = {
    .lines = "Incident=incident|State=state|Class=class|What=name|About=subject|Company=tenant|"
             "Since=opened@|Over=closed@|Came back=reopened|Taken by=taken_by|Why=taken_why",
    .tables = {{"History", "history",
                "#=update|Time=time@|Class=class|By=by|What happened=happened|What we did=did|"
                "What you can do=can|Evidence=evidence",
                "None."},
               {"Who was told", "deliveries",
                "Alert=alert|State=state|Told up to=told|Of=newest|Try=attempts|Next=next@|"
                "Answered=answered@|What=answer",
                "Nobody: staffetta alert add NAME --url URL, or --mail ADDRESS"}},
};
static const struct view alerts_view = {
    .tables = {{NULL, "alerts",
                "Alert=name|Company=tenant|Kind=kind|To=url|Mail=mail|Least=least|Told=told|"
                "Waiting=waiting|Given up=given_up|Answered=answered@|What=answer",
                "Nobody is told: staffetta alert add NAME --url URL, or --mail ADDRESS"}},
};
static const struct view alert_view = {
    .lines = "Alert=name|Company=tenant|Kind=kind|To=url|Mail=mail|Least=least|Told=told|"
             "Waiting=waiting|Given up=given_up|Answered=answered@|What=answer|"
             "Secret (shown only now)=secret|Note=note",
};
static const struct view alert_tested_view = {.lines = "Alert=alert|Arrived=ok|Answer=text",
                                              .must_be_true = "ok"};
static const struct view snapshot_view = {.lines = "Done=text|Log ends at=store.end"};

/* ---- the commands ---- */

#define KEEPING_FLAGS "days essential-days hosted-days own-days max-mib essential-mib quota-mib"
#define DOMAIN_FLAGS "form cut-through separators catch-all postmaster"
#define PRIMARY_FLAGS "network tls tls-name shared certificate xclient connections"
#define PERSON_FLAGS "name alias covered relayed essential kind primary"
#define ORDER(verb, text)                                                                          \
    {                                                                                              \
        "queue", verb, "ID[/RCPT]", "POST", "/v1/queue/{ID}/order", "order=" verb, "why!",         \
            &ordered_view, run_order, text                                                         \
    }

const struct command commands[] = {
    {"status", "", "", "GET", "/v1/status", "", "", &status_view, NULL,
     "Show the node at a glance."},
    {"check", "", "", "GET", "/v1/status", "", "", NULL, run_check,
     "Check everything: new mail, the disk, each mail system, the ledger."},
    {"tenant", "list", "", "GET", "/v1/tenants", "", "", &tenants_view, NULL,
     "List the companies."},
    {"tenant", "add", "NAME:name", "POST", "/v1/tenants", "", "language", &tenant_view, NULL,
     "Add a company."},
    {"tenant", "set", "NAME", "PATCH", "/v1/tenants/{NAME}", "", "language!", &tenant_view, NULL,
     "Change a company."},
    {"tenant", "show", "NAME", "GET", "/v1/tenants/{NAME}", "", "", &tenant_view, NULL,
     "Show a company."},
    {"tenant keeping", "show", "NAME", "GET", "/v1/tenants/{NAME}/keeping", "", "", &keeping_view,
     NULL, "Show how long and how much mail of a company is kept."},
    {"tenant keeping", "set", "NAME", "PATCH", "/v1/tenants/{NAME}/keeping", "", KEEPING_FLAGS,
     &keeping_view, NULL, "Say how long and how much mail is kept; what is left out stays."},
    {"domain", "list", "", "GET", "/v1/domains", "", "tenant", &domains_view, NULL,
     "List the domains."},
    {"domain", "add", "NAME:name", "POST", "/v1/domains", "", "tenant! primary " DOMAIN_FLAGS,
     &domain_view, NULL, "Add a domain."},
    {"domain", "show", "NAME", "GET", "/v1/domains/{NAME}", "", "", &domain_view, NULL,
     "Show a domain."},
    {"domain", "set", "NAME", "PATCH", "/v1/domains/{NAME}", "", "primary " DOMAIN_FLAGS,
     &domain_view, NULL, "Change a domain."},
    {"domain", "check", "NAME", "POST", "/v1/domains/{NAME}/check", "", "", NULL, run_watch,
     "Look at the DNS of a domain now: found, expected, why, what to write. Exit code 1 when mail "
     "suffers."},
    {"dkim", "list", "", "GET", "/v1/domains", "", "tenant", &dkim_view, NULL,
     "List the selectors of DKIM keys that are watched."},
    {"dkim", "add", "DOMAIN SELECTOR:selector", "POST", "/v1/domains/{DOMAIN}/dkim", "", "",
     &domain_view, NULL,
     "Name a DKIM key of the company's mail system, so that it is watched: its selector is s= in "
     "the "
     "DKIM-Signature of a message that it sent."},
    {"dkim", "remove", "DOMAIN SELECTOR", "DELETE", "/v1/domains/{DOMAIN}/dkim/{SELECTOR}", "", "",
     &domain_view, NULL, "Watch a DKIM key no more."},
    {"dkim", "show", "DOMAIN", "GET", "/v1/domains/{DOMAIN}/keys", "", "", &keys_view, NULL,
     "Show the DKIM keys that we sign with, and the DNS records they need, ready to paste."},
    {"dkim", "create", "DOMAIN", "POST", "/v1/domains/{DOMAIN}/keys", "", "", &keys_view, NULL,
     "Make a pair of DKIM keys, RSA and Ed25519; they sign when they are active."},
    {"dkim", "activate", "DOMAIN SELECTOR", "POST", "/v1/domains/{DOMAIN}/keys/{SELECTOR}/activate",
     "", "", &keys_view, NULL,
     "Sign with this key from now on; the one of its kind before is retired."},
    {"dkim", "retire", "DOMAIN SELECTOR", "POST", "/v1/domains/{DOMAIN}/keys/{SELECTOR}/retire", "",
     "", &keys_view, NULL, "Sign with this key no more; its DNS record stays for a while."},
    {"primary", "list", "", "GET", "/v1/primaries", "", "tenant", &primaries_view, NULL,
     "List the mail systems."},
    {"primary", "add", "NAME:name", "POST", "/v1/primaries", "", "tenant! host! " PRIMARY_FLAGS,
     &primary_view, NULL, "Add a mail system."},
    {"primary", "show", "NAME", "GET", "/v1/primaries/{NAME}", "", "tenant", &primary_view, NULL,
     "Show a mail system and its state."},
    {"primary", "set", "NAME", "PATCH", "/v1/primaries/{NAME}", "", "tenant? host " PRIMARY_FLAGS,
     &primary_view, NULL, "Change a mail system; lists replace lists."},
    {"primary", "check", "NAME", "POST", "/v1/primaries/{NAME}/check", "", "tenant? make? sender?",
     &check_view, NULL,
     "Try every part of the way back: reach, encryption, size, strangers' mail, reading, log-in. "
     "Exit code 1 when something failed."},
    {"primary", "remove", "NAME", "DELETE", "/v1/primaries/{NAME}", "", "tenant?", &removed_view,
     NULL, "Remove a mail system to which no mail goes and for which none waits."},
    {"person", "list", "", "GET", "/v1/persons", "", "tenant match limit after", &persons_view,
     NULL, "List the people."},
    {"person", "show", "ADDRESS", "GET", "/v1/persons/{ADDRESS}", "", "", &person_view, NULL,
     "Show a person."},
    {"person", "add", "ADDRESS:address", "POST", "/v1/persons", "", PERSON_FLAGS, &person_view,
     NULL, "Add a person."},
    {"person", "set", "ADDRESS", "PATCH", "/v1/persons/{ADDRESS}", "", PERSON_FLAGS, &person_view,
     NULL, "Change a person; lists replace lists."},
    {"person", "remove", "ADDRESS", "DELETE", "/v1/persons/{ADDRESS}", "", "", &removed_view, NULL,
     "Remove a person. The mail that was kept stays."},
    {"person", "import", "FILE", "POST", "/v1/persons/import", "", "tenant complete force",
     &imported_view, run_import,
     "Add and change many people, from JSON or from CSV: address, name, aliases separated by ;, "
     "covered or relayed."},
    {"person", "password", "ADDRESS", "POST", "/v1/persons/{ADDRESS}/password", "", "generate",
     &login_made_view, run_password,
     "Set the password that somebody logs in with: asked for, read from standard input, or made."},
    {"person", "code", "ADDRESS", "POST", "/v1/persons/{ADDRESS}/code", "", "", &login_made_view,
     NULL, "Print a one-time code with which somebody logs in within 15 minutes."},
    {"person", "logout", "ADDRESS", "POST", "/v1/persons/{ADDRESS}/logout", "", "", &removed_view,
     NULL, "End all sessions of somebody. Tokens of programs stay."},
    {"person quota", "show", "ADDRESS", "GET", "/v1/persons/{ADDRESS}/quota", "", "", &quota_view,
     NULL, "Show how much mail a person may have."},
    {"person quota", "set", "ADDRESS", "PATCH", "/v1/persons/{ADDRESS}/quota", "", "quota-mib!",
     &quota_view, NULL, "Give a person a quota of their own; 0: no bound."},
    {"person quota", "remove", "ADDRESS", "DELETE", "/v1/persons/{ADDRESS}/quota", "", "",
     &quota_view, NULL, "Let the company's quota count again."},
    {"person token", "list", "ADDRESS", "GET", "/v1/persons/{ADDRESS}/tokens", "", "", &tokens_view,
     NULL, "Show how somebody logs in: password, code, sessions, tokens of programs."},
    {"person token", "add", "ADDRESS NAME:name", "POST", "/v1/persons/{ADDRESS}/tokens", "", "",
     &login_made_view, NULL, "Make a token for a program, and print it this once."},
    {"person token", "remove", "ADDRESS TOKEN", "DELETE", "/v1/persons/{ADDRESS}/tokens/{TOKEN}",
     "", "", &removed_view, NULL, "End a token by its name or id, or a session by its id."},
    {"mailbox", "show", "ADDRESS", "GET", "/v1/mailboxes/{ADDRESS}", "", "", &mailbox_view, NULL,
     "Show what a person did here and the mail system's mailbox lacks: read, answered, moved, "
     "deleted, drafted, sent."},
    {"mailbox", "return", "ADDRESS", "POST", "/v1/mailboxes/{ADDRESS}/return", "", "dry-run why!",
     &mailbox_view, NULL,
     "Give it back now, also what failed before. With --dry-run: only ask the mail system what "
     "would be done."},
    {"mailbox login", "show", "ADDRESS", "GET", "/v1/mailboxes/{ADDRESS}/login", "", "",
     &mail_login_view, NULL, "Show how a person's mailbox over there is opened."},
    {"mailbox login", "set", "ADDRESS", "PATCH", "/v1/mailboxes/{ADDRESS}/login", "",
     "user secret mechanism", &mail_login_view, NULL,
     "Open a person's mailbox over there with a log-in of its own: a password, or a refresh "
     "token."},
    {"mailbox login", "remove", "ADDRESS", "DELETE", "/v1/mailboxes/{ADDRESS}/login", "", "",
     &removed_view, NULL, "Forget a person's log-in."},
    {"group", "list", "", "GET", "/v1/groups", "", "tenant", &groups_view, NULL,
     "List the groups."},
    {"group", "show", "ADDRESS", "GET", "/v1/groups/{ADDRESS}", "", "", &group_view, NULL,
     "Show a group."},
    {"group", "add", "ADDRESS:address", "POST", "/v1/groups", "", "member! name alias", &group_view,
     NULL, "Add a group."},
    {"group", "remove", "ADDRESS", "DELETE", "/v1/groups/{ADDRESS}", "", "", &removed_view, NULL,
     "Remove a group."},
    {"state", "list", "", "GET", "/v1/state", "", "tenant", &states_view, NULL,
     "Show the states of all mail systems."},
    {"state", "show", "PRIMARY", "GET", "/v1/state/{PRIMARY}", "", "tenant", &state_view, NULL,
     "Show the state of a mail system."},
    {"state", "emergency", "PRIMARY", "POST", "/v1/state/{PRIMARY}/emergency", "", "tenant? why!",
     &state_view, NULL, "Declare an emergency: people work here from now on."},
    {"state", "return", "PRIMARY", "POST", "/v1/state/{PRIMARY}/return", "",
     "tenant? why! since dry-run", &state_view, run_return,
     "Give everything back to the mail system. With --since TIME: give again what it took since "
     "then and no longer has (its restored backup ends there)."},
    {"state", "approve", "PRIMARY", "POST", "/v1/state/{PRIMARY}/approve", "", "tenant? why!",
     &state_view, NULL, "Approve the return that is ready."},
    {"state", "isolate", "PRIMARY", "POST", "/v1/state/{PRIMARY}/isolate", "", "tenant? why!",
     &state_view, NULL, "After an attack: give nothing to the mail system."},
    {"state", "clean", "PRIMARY", "POST", "/v1/state/{PRIMARY}/clean", "", "tenant? why!",
     &state_view, NULL, "Declare an isolated mail system clean."},
    {"state", "pause", "PRIMARY", "POST", "/v1/state/{PRIMARY}/pause", "", "tenant? why!",
     &state_view, NULL, "Let giving back wait."},
    {"state", "resume", "PRIMARY", "POST", "/v1/state/{PRIMARY}/resume", "", "tenant? why!",
     &state_view, NULL, "Go on giving back."},
    {"state", "maintenance", "PRIMARY", "POST", "/v1/state/{PRIMARY}/maintenance", "",
     "tenant? from until why!", &state_view, NULL,
     "Announce a time in which failures are expected; without --until it ends now."},
    {"state", "again", "PRIMARY", "GET", "/v1/state/{PRIMARY}/again", "", "tenant", &view_again,
     NULL, "Show how far giving again what it had lost is (return --since), or how it ended."},
    {"state", "again-stop", "PRIMARY", "POST", "/v1/state/{PRIMARY}/again/stop", "", "tenant? why!",
     &view_again, NULL, "Stop giving again (return --since); what was given stays given."},
    {"state", "replay", "PRIMARY", "GET", "/v1/state/{PRIMARY}/replay", "",
     "tenant since bad-for-suspect suspect-within tell-after emergency-after calm good-for-ready "
     "ready-over",
     &replay_view, NULL, "Play recorded evidence again, with the plan in force or another."},
    {"plan", "show", "PRIMARY", "GET", "/v1/primaries/{PRIMARY}/plan", "", "tenant", &plan_view,
     NULL, "Show the plan of a mail system."},
    {"plan", "set", "PRIMARY", "PATCH", "/v1/primaries/{PRIMARY}/plan", "",
     "tenant? owner bad-for-suspect suspect-within tell-after emergency-after calm "
     "good-for-ready ready-over return method sending canary-every login-every why!",
     &plan_view, NULL, "Change the plan; it counts when it is approved."},
    {"plan", "approve", "PRIMARY", "POST", "/v1/primaries/{PRIMARY}/plan/approve", "", "tenant?",
     &plan_view, NULL, "Approve the change that waits."},
    {"plan", "history", "PRIMARY", "GET", "/v1/primaries/{PRIMARY}/plan/history", "", "tenant",
     &plans_view, NULL, "List the versions of a plan."},
    {"access", "show", "PRIMARY", "GET", "/v1/primaries/{PRIMARY}/access", "", "tenant",
     &access_view, NULL, "Show how the mailboxes of a mail system are reached."},
    {"access", "set", "PRIMARY", "PATCH", "/v1/primaries/{PRIMARY}/access", "",
     "tenant? host tls tls-at-once tls-name mechanism canary user secret master-user "
     "master-secret",
     &access_view, NULL, "Say how its mailboxes are reached, and which one is for tests."},
    {"access token", "show", "PRIMARY", "GET", "/v1/primaries/{PRIMARY}/access/tokens", "",
     "tenant", &tokens_from_view, NULL,
     "Show who gives tokens (XOAUTH2) to open its mailboxes with."},
    {"access token", "set", "PRIMARY", "PATCH", "/v1/primaries/{PRIMARY}/access/tokens", "",
     "tenant? grant url client-id client-secret scope", &tokens_from_view, NULL,
     "Say who gives tokens (XOAUTH2) to open its mailboxes with: Microsoft 365, Google and "
     "others."},
    {"access token", "remove", "PRIMARY", "DELETE", "/v1/primaries/{PRIMARY}/access/tokens", "",
     "tenant", &removed_view, NULL, "Ask for no more tokens."},
    {"calendar", "show", "TENANT", "GET", "/v1/tenants/{TENANT}/calendar", "", "", &calendar_view,
     NULL, "Show how a company counts its days."},
    {"calendar", "set", "TENANT", "PATCH", "/v1/tenants/{TENANT}/calendar", "", "zone holiday",
     &calendar_view, NULL, "Set time zone and holidays."},
    {"clock", "show", "", "GET", "/v1/clock", "", "", &clock_view, NULL, "Is the clock trusted?"},
    {"clock", "confirm", "", "POST", "/v1/clock/confirm", "", "why!", &clock_view, NULL,
     "The clock is right: automatic steps are allowed again."},
    {"state", "preview", "PRIMARY", "GET", "/v1/state/{PRIMARY}/preview", "", "tenant limit after",
     &preview_view, NULL, "Show what giving back would bring where, and how long it takes."},
    {"state", "history", "[PRIMARY:primary]", "GET", "/v1/episodes", "", "tenant limit",
     &history_view, NULL, "List the emergencies that there were, newest first."},
    {"state", "report", "[PRIMARY]", "GET", "/v1/episodes/{ID}/report", "",
     "tenant episode messages limit", NULL, run_report,
     "The statement of an emergency (the newest): times, decisions, what became of the mail, "
     "proof. "
     "Exit code 1 when the sums are not equal."},
    {"queue", "list", "", "GET", "/v1/queue", "", "tenant primary address disposition limit after",
     &queue_view, NULL, "List what waits and what is held, or another fate."},
    {"queue", "show", "ID", "GET", "/v1/queue/{ID}", "", "", NULL, run_queue_show,
     "Show a message, its recipients and history, and why it waits."},
    ORDER("hold", "Do nothing with it until a person decides."),
    ORDER("release", "Let a held message go on."),
    ORDER("retry", "Try now instead of later."),
    ORDER("return", "Give it back to its sender with a notice."),
    ORDER("remove", "Remove it for good."),
    {"hold", "list", "", "GET", "/v1/queue", "disposition=held",
     "tenant primary address limit after", &hold_view, NULL, "List what is held, and why."},
    {"ledger", "", "", "GET", "/v1/ledger", "", "tenant", &ledger_view, NULL,
     "Prove that every message is accounted for. Exit code 1 when it does not add up."},
    {"ledger", "doubles", "", "GET", "/v1/ledger/doubles", "", "tenant limit after", &doubles_view,
     NULL, "List the deliveries that may have arrived twice."},
    {"trace", "", "[WHAT:what]", "GET", "/v1/trace", "", "tenant since until limit", NULL,
     run_trace,
     "Follow messages from arrival to fate: by id, address, domain, Message-ID or subject."},
    {"events", "", "", "GET", "/v1/events", "", "tenant since limit", &events_view, NULL,
     "List what happened."},
    {"incident", "list", "", "GET", "/v1/incidents", "", "tenant limit after", &incidents_view,
     NULL, "List the troubles that go on, then those that are over."},
    {"incident", "show", "ID", "GET", "/v1/incidents/{ID}", "", "", &incident_view, NULL,
     "Show a trouble, its history and who was told."},
    {"incident", "ack", "ID", "POST", "/v1/incidents/{ID}/ack", "", "why!", &incident_view, NULL,
     "Say that you take care of it."},
    {"alert", "list", "", "GET", "/v1/alerts", "", "tenant", &alerts_view, NULL,
     "List where alerts go."},
    {"alert", "add", "NAME:name", "POST", "/v1/alerts", "", "tenant url mail secret least",
     &alert_view, NULL,
     "Tell a webhook or a mail address of troubles; without --tenant of all on this node."},
    {"alert", "show", "NAME", "GET", "/v1/alerts/{NAME}", "", "", &alert_view, NULL,
     "Show a target of alerts."},
    {"alert", "remove", "NAME", "DELETE", "/v1/alerts/{NAME}", "", "", &removed_view, NULL,
     "Tell it nothing more."},
    {"alert", "test", "NAME", "POST", "/v1/alerts/{NAME}/test", "", "", &alert_tested_view, NULL,
     "Send it a word now. Exit code 1 when it does not arrive."},
    {"watch", "list", "", "GET", "/v1/watches", "", "tenant class", &watches_view, NULL,
     "List what was found out about domains, mail systems and this node, the worst first."},
    {"watch", "show", "NAME:about", "GET", "/v1/watches", "", "tenant class", NULL, run_watch,
     "Show what was found out about a domain, mail system or node: why, and what to do."},
    {"limits", "", "", "GET", "/v1/limits", "", "", &limits_view, NULL,
     "Show every limit and how often it was reached."},
    {"limits", "try", "NAME VALUE:value", "GET", "/v1/limits/{NAME}/try", "", "since",
     &limit_tried_view, NULL, "Say what another value would have refused (in 30 days)."},
    {"store", "show", "", "GET", "/v1/store", "", "", &store_view, NULL,
     "Show the store in numbers."},
    {"store", "snapshot", "", "POST", "/v1/store/snapshot", "", "", &snapshot_view, NULL,
     "Make a verified snapshot of the index now."},
    {"openapi", "", "", "GET", "/v1/openapi.json", "", "", NULL, run_raw,
     "Print the description of the interface (OpenAPI 3)."},
};
const size_t n_commands = sizeof(commands) / sizeof(commands[0]);
