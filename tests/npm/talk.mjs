// A foreign JMAP client's day: node talk.mjs FOLDER URL TOKEN COLLEAGUE
// FOLDER has node_modules. What happened goes to standard output, as one line of JSON.
import { pathToFileURL } from "node:url";

const [folder, url, token, colleague] = process.argv.slice(2);
const brought = (path) => import(pathToFileURL(`${folder}/node_modules/${path}`).href);
const { EventSource } = await brought("eventsource/dist/index.js");
const { JamClient } = await brought("jmap-jam/dist/index.js");

// The client leaves it to cookies to say who listens; here it is the token.
const authorization = { Authorization: `Bearer ${token}` };
globalThis.EventSource = class extends EventSource {
  constructor(where) {
    super(where, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...authorization } }),
    });
  }
};

const jam = new JamClient({ sessionUrl: `${url}/.well-known/jmap`, bearerToken: token });
const accountId = await jam.getPrimaryAccount();
const story = { username: (await jam.session).username };

// News: the draft that is written below is told.
const stream = await jam.connectEventSource({ types: ["Email"], ping: 0 });
const news = new Promise((resolve, reject) => {
  stream.addEventListener("state", (event) => resolve(JSON.parse(event.data)));
  stream.addEventListener("error", (event) => reject(new Error(`stream: ${event.message}`)));
});
await new Promise((resolve) => stream.addEventListener("open", resolve));

// The list: a query, and the emails that it found, in one request.
const [{ emails }] = await jam.requestMany((t) => {
  const inbox = t.Mailbox.query({ accountId, filter: { role: "inbox" } });
  const found = t.Email.query({ accountId, sort: [{ property: "receivedAt", isAscending: false }] });
  const emails = t.Email.get({
    accountId,
    ids: found.$ref("/ids"),
    properties: ["subject", "from", "messageId", "threadId", "textBody", "bodyValues"],
    fetchTextBodyValues: true,
  });
  return { inbox, found, emails };
});
const letter = emails.list[0];
story.subject = letter.subject;
story.text = letter.bodyValues[letter.textBody[0].partId].value;

// A file, back and forth.
const blob = await jam.uploadBlob(accountId, new Blob(["a,b\n1,2\n"], { type: "text/csv" }));
const answer = await jam.downloadBlob({
  accountId, blobId: blob.blobId, mimeType: "text/csv", fileName: "table.csv",
});
story.file = await answer.text();

// An answer: a draft with that file, sent to a colleague, filed in Sent.
const [{ list: mailboxes }] = await jam.api.Mailbox.get({ accountId });
const [{ list: identities }] = await jam.api.Identity.get({ accountId });
const of = (role) => mailboxes.find((mailbox) => mailbox.role === role).id;
const [{ created }] = await jam.api.Email.set({
  accountId,
  create: {
    draft: {
      mailboxIds: { [of("drafts")]: true },
      keywords: { $draft: true, $seen: true },
      from: [{ email: identities[0].email, name: identities[0].name }],
      to: [{ email: colleague, name: null }],
      subject: `Re: ${letter.subject}`,
      inReplyTo: letter.messageId,
      references: letter.messageId,
      textBody: [{ partId: "text", type: "text/plain" }],
      bodyValues: { text: { value: "Grüße, and the table." } },
      attachments: [{ blobId: blob.blobId, type: "text/csv", name: "table.csv" }],
    },
  },
});
const [{ sent }] = await jam.requestMany((t) => ({
  sent: t.EmailSubmission.set({
    accountId,
    create: { now: { emailId: created.draft.id, identityId: identities[0].id } },
    onSuccessUpdateEmail: {
      "#now": {
        "keywords/$draft": null,
        [`mailboxIds/${of("drafts")}`]: null,
        [`mailboxIds/${of("sent")}`]: true,
      },
    },
  }),
}));
story.refused = sent.notCreated ?? null;
const [{ list: [filed] }] = await jam.api.Email.get({
  accountId, ids: [created.draft.id], properties: ["mailboxIds", "keywords", "threadId"],
});
story.isInSent = filed.mailboxIds[of("sent")] === true && !filed.keywords.$draft;
story.isInThread = filed.threadId === letter.threadId;

story.news = Object.keys((await news).changed[accountId]);
stream.close();
console.log(JSON.stringify(story));
