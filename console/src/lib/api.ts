// What the API says, version 1, under the names of its served OpenAPI document. `npm run types` writes generated.ts from that
// document; this is held against it.
//
// Times are Unix milliseconds, UTC. Rates are per second over the last whole second.

/** Everything on the first screen. It comes once a second. */
export interface Now {
  /** When it was so. */
  at: number;
  /** The node's name. */
  node: string;
  /** Of the program. */
  version: string;
  /** Counts the policies that this process has had in force. */
  generation: number;
  /** It takes no new connections. */
  draining: boolean;
  /** Client connections held. */
  connections: number;
  /** By declaration. */
  platforms: Platform[];
  /** Announced events that are not over. */
  events: Announced[];
  /** The incident that is open. */
  incident: IncidentLine | null;
  /** Sensors that do not see, by name, with why. */
  blind: Record<string, string>;
  /** Sensors that see. */
  watching: number;
  /** Whether evidence is kept: without it there are no rates, no history and nobody who is hurt. */
  evidence: boolean;
  /** What to do next, the most urgent first; never empty. */
  advice: Advice[];
}

/** How one platform stands. */
export interface Platform {
  /** Its name. */
  name: string;
  /** `normal`, `elevated`, `attack`, `overload`, `recovery`. */
  posture: string;
  /** Since when. */
  since: number;
  /** Why, in a sentence. */
  why: string;
  /** The same as values; none where the sentence says more than there are values for. */
  causes: Clause[];
  /** An operator holds it there. */
  held: boolean;
  /**
   * What it is taken for: `calm`, `crowd` (more people than usual, and nothing speaks of an attack), `attack`, `strain` (the
   * platform suffers and nobody is to blame yet), `unknown` (too little is known of what is normal).
   */
  reading: string;
  /** What speaks for it. */
  signs: Sign[];
  /** Requests per second that are expected now; none before enough is known. */
  expected: number | null;
  /** Over the last whole second; none where no evidence is kept. */
  rates: Rates | null;
  /** Milliseconds in which 50, 95 and 99 of a hundred served requests were answered in that second. */
  millis: [number, number, number] | null;
  /** What stands behind the gate. */
  origins: Origin[];
  /** What holds somebody or could. */
  measures: Measure[];
  /** Who was served and who was not over the last ten seconds, by what the gate knew of them. */
  people: Audience[];
}

/** One kind of sign. */
export interface Sign {
  /** `rate`, `stress`, `contrast`, `protocol`, `business`. */
  name: string;
  /** `quiet`, `weak`, `strong`, `off`. */
  level: string;
  /** Figures, in a sentence. */
  figures: string;
  /** The same as values. */
  clauses: Clause[];
}

/** A sentence or a part of one: which, and what stands in its gaps. The words beside it say the same in English. */
export interface Clause {
  /** Which: `queue`, `no-token`, `origin-out`, … */
  code: string;
  /** Figures by name. Shares are of one. */
  numbers: Record<string, number>;
  /** Names by name: platforms, rules, paths. */
  names: Record<string, string>;
}

/** What became of requests, per second. */
export interface Rates {
  /** That came. */
  requests: number;
  /** Answered by the platform. */
  served: number;
  /** Of those, that waited first. */
  delayed: number;
  /** Answered by a challenge. */
  challenged: number;
  /** Sent to the waiting room. */
  roomed: number;
  /** Refused. */
  refused: number;
  /** That the platform failed. */
  failed: number;
}

/** A server behind the gate. */
export interface Origin {
  /** Its URL. */
  url: string;
  /** Whether it takes requests; none where nobody has looked. */
  healthy: boolean | null;
}

/** What holds somebody or could. */
export interface Measure {
  /** `r-81`; `admission/PLATFORM`, `room/PLATFORM` for what is not a rule. */
  id: string;
  /** `rule`, `admission`, `room`. */
  kind: string;
  /** `shadow`, `enforced`, `relaxing`, `dormant`, `undone`; `on` for what is not a rule. */
  phase: string;
  /** What becomes of a match: `wait`, `challenge`, `refuse`, … */
  action: string;
  /** Of the matches, so many in a hundred are acted upon. */
  share: number;
  /** What it looks for, in words. */
  pattern: string;
  /** The same as values: all of them at once. */
  literals: Clause[];
  /** Why, as it was told when it was enforced: the excess that it explains, and whom it would have hit on an ordinary day. */
  why: string;
  /** What stands behind it, as values and as it is by now; none where that is not known any more. */
  grounds: Clause[];
  /** Requests that matched since it was proposed. */
  matched: number;
  /** An operator keeps it. */
  pinned: boolean;
  /** Whether it can be undone here. */
  undo: boolean;
}

/** Visitors by what the gate knew of them. */
export interface Audience {
  /** `suspect`, `fresh`, `human`, `passed`, `history`, `crawler`, `partner`, `staff`. */
  name: string;
  /** Whether these are people who have shown that they are, or whom the organisation vouches for. */
  known: boolean;
  /** Requests of theirs. */
  requests: number;
  /** Of those, refused. */
  refused: number;
  /** Of those, answered by a challenge or the waiting room. */
  held: number;
  /** Of those, that waited before they were served. */
  delayed: number;
  /** Different visitors, about: all, and those touched. */
  visitors: [number, number];
}

/** A crowd that is expected. */
export interface Announced {
  /** Its name. */
  name: string;
  /** The platform it concerns; none for all. */
  platform: string | null;
  /** From. */
  from: number;
  /** Until. */
  until: number;
}

/** An incident in a line. */
export interface IncidentLine {
  /** `2026-05-17-1`. */
  id: string;
  /** What it is, in a sentence. */
  words: string;
  /** Since when. */
  since: number;
  /** When it was closed; none while it is open. */
  closed: number | null;
  /** Who closed it. */
  closed_by: string | null;
  /** How many waves there were. */
  waves: number;
  /** What was attacked. */
  platforms: string[];
}

/** What to do, and what that would cost. */
export interface Advice {
  /** `nothing`, `undo`, `look`, `hold`, `drill`, `close`, `report`, `origin`: what a screen shows a button for. */
  kind: string;
  /** What it is about: a measure, a platform, an incident, a sensor. */
  about: string;
  /** What to do. */
  words: string;
  /** What it costs, and whom. */
  cost: string;
  /** What to do, as values. */
  said: Clause | null;
  /** What it costs, as values. */
  price: Clause | null;
}

/** Something that happened, as the live stream tells it. */
export interface Happening {
  /** When. */
  at: number;
  /** `posture`, `rule-enforced`, `login`, `finding`, `incident`, … */
  kind: string;
  /** The platform, where it is about one. */
  platform: string | null;
  /** Who did it: `gate`, or a person. */
  by: string;
  /** The whole of it. */
  words: string;
  /** What it comes to, as values, where there are any: less than the words say. */
  said: Clause | null;
}

/** A measure while it was in force, as the record has it. */
export interface Stretch {
  /** `r-81`, `admission/PLATFORM`, `room/PLATFORM`. */
  id: string;
  /** `rule`, `admission`, `room`. */
  kind: string;
  /** What became of who it held: `wait`, `challenge`, `refuse`, … */
  action: string;
  /** The platform. */
  platform: string;
  /** Who began it: `gate`, or a person. */
  by: string;
  /** From when on. */
  from: number;
  /** Until when; none while it lasts. */
  until: number | null;
  /** Nobody ended it: the gate began anew then. */
  cut: boolean;
}

/** A line of time. */
export interface History {
  /** The platform; none for all. */
  platform: string | null;
  /** Beginning of the first point. */
  from: number;
  /** End of the last. */
  until: number;
  /** Milliseconds of one point. */
  step: number;
  /** Requests in it of which nothing is known any more. */
  missing: number;
  /** From when on which posture stood. */
  postures: Stance[];
  /** What was in force meanwhile on the platform, or on any: the newest five hundred, the oldest of them first. */
  measures: Stretch[];
  /** How many more measures there were, all older than those. */
  more_measures: number;
  /**
   * One list for each figure, all as long as `at`, so that a day by the second is small. Seconds without a request are left
   * out.
   */
  points: Points;
}

/** From when on a posture stood. */
export interface Stance {
  /** From when on. */
  at: number;
  /** Which. */
  posture: string;
}

/** Points of a line of time, by column. */
export interface Points {
  /** When each begins, in steps after `from`. */
  at: number[];
  /** Requests that came. */
  requests: number[];
  /** Answered by the platform. */
  served: number[];
  /** That waited first. */
  delayed: number[];
  /** Answered by a challenge. */
  challenged: number[];
  /** Sent to the waiting room. */
  roomed: number[];
  /** Refused. */
  refused: number[];
  /** That the platform failed. */
  failed: number[];
  /** Milliseconds in which 95 of a hundred were served. */
  p95: number[];
}

/** Of what there was most. */
export interface Busiest {
  /** By what. */
  by: string;
  /** From. */
  from: number;
  /** Until. */
  until: number;
  /** All requests. */
  requests: number;
  /** Each count may be more by so many. */
  short: number;
  /** The most frequent first. */
  values: Counted[];
}

/** A value and how often it came. */
export interface Counted {
  /** The value. */
  value: string;
  /** Requests. */
  requests: number;
}

/** Why something was decided. */
export interface Explained {
  /** The reference, rule or reason that was asked for. */
  of: string;
  /** In words. */
  words: string;
  /** The same step by step: what happened and why, then the way through the gate. */
  steps: ExplainedStep[];
}

/** A step of what happened to a request, of what was done about a rule, or of what a reason means. */
export interface ExplainedStep {
  /** What it is about: `outcome`, `reason`, `listener`, … */
  part: string;
  /** In words. */
  words: string;
  /** The same as values. What somebody else wrote stands in names alone. */
  said: Clause[];
}

/** Decisions on record. */
export interface Decisions {
  /** The newest first. */
  found: DecisionLine[];
  /**
   * Goes back as `cursor` for those before; none where all were looked at. There may be one though nothing was found: one answer
   * looks at a bounded part of the record.
   */
  next: string | null;
}

/** A decision about one request, as the decision log has it. Of requests that were served, it has those that were sampled. */
export interface DecisionLine {
  /** When. */
  at: number;
  /** What the visitor saw, by which it is explained; none where there is none. */
  reference: string | null;
  /** `served`, `refused`, `failed`, `challenged`, `roomed`. */
  verdict: string;
  /** Why it was not served. */
  reason: string | null;
  /** In detail. */
  detail: string | null;
  /** The status; 0 where the connection was closed. */
  status: number;
  /** The platform. */
  platform: string | null;
  /** The route, as it is declared. */
  route: string | null;
  /** Whom it was about: personal data. */
  client: string | null;
  /** The method. */
  method: string | null;
  /** The host that was asked for. */
  host: string | null;
  /** The path, without a query. */
  path: string | null;
  /** The TLS print (JA4). */
  print: string | null;
  /** What the gate knew of the visitor. */
  audience: string | null;
  /** Milliseconds that it took. */
  millis: number;
}

/** What was done. */
export interface Done {
  /** In words. */
  words: string;
}

/** What came of a drill. Something was missed where `missed` is not 0; what is so is known all the same. */
export interface Drilled {
  /** In a sentence. */
  words: string;
  /** How many were not seen. */
  missed: number;
  /** Each, as `portcullis drill --json` has it. */
  drills: unknown[];
}

/** What went wrong, as RFC 9457 has it. */
export interface Problem {
  /** Always `about:blank`: the status says which. */
  type: string;
  /** The status in words. */
  title: string;
  /** The status. */
  status: number;
  /** What to do about it. */
  detail: string;
}

/** Who is signed in, and what may be done. */
export interface Session {
  /** Who; none when nobody is. */
  person: Person | null;
  /** Goes back in `X-Portcullis-Csrf` with whatever changes something. */
  csrf: string | null;
  /** Nobody has an account yet: the link that the gate has printed makes the first. */
  fresh: boolean;
  /** Ways to sign in: `password`, `passkey`, `oidc`. */
  ways: string[];
  /** What the organisation's provider is called, for `oidc`. */
  provider: string | null;
  /** The organisation's name. */
  organisation: string;
  /** How everything stands, where that was asked for by whoever may know. */
  now?: Now | null;
}

/** Somebody with an account. */
export interface Person {
  /** By which acts are signed. */
  name: string;
  /** What may be done. */
  role: Role;
  /** A second factor is set up. */
  totp: boolean;
  /** How many passkeys there are. */
  passkeys: number;
  /** When this person last signed in. */
  seen: number | null;
  /** The organisation's provider vouches for them, and says the role. */
  federated: boolean;
}

/** What somebody may do; each may what the one before may. */
export type Role = 'viewer' | 'operator' | 'owner';

/** What somebody proposed that takes a second person. It comes with 202, where the act itself was asked for. */
export interface Proposal {
  /** To approve or refuse it. */
  id: string;
  /** Of which kind, as `console.approvals` has it. */
  act: string;
  /** What would be done. */
  words: string;
  /** Who proposed it: a person, or a token of theirs. */
  by: string;
  /** The person behind it, who cannot approve it. */
  person: string;
  /** Who may approve it. */
  least: Role;
  /** When. */
  made: number;
  /** When it is forgotten. */
  until: number;
  /** Of a change of the configuration, the lines that differ. */
  diff: Line[];
}

/** A name and a password, and the code of the second factor once it is set up. */
export interface SignIn {
  /** Whose. */
  name: string;
  /** At least twelve characters. */
  password: string;
  /** Six digits (RFC 6238). */
  code?: string | null;
}

/** What a one-time link makes: an account, or a new password for one. */
export interface Welcome {
  /** What stands behind `#` in the link. */
  link: string;
  /** By which acts are to be signed; a link for somebody has it already. */
  name?: string | null;
  /** At least twelve characters. */
  password: string;
}

/** A second factor that waits for its first code. */
export interface Enrolment {
  /** For an authenticator (`otpauth://`). */
  url: string;
  /** The same, to type, in base32. */
  secret: string;
}

/** A code of the second factor. */
export interface Code {
  /** Six digits. */
  code: string;
}

/** One of somebody's own sessions. */
export interface OwnSession {
  /** To end it. It opens nothing. */
  id: string;
  /** When it began. */
  made: number;
  /** When it was last used, to the minute. */
  seen: number;
  /** From which address it began. */
  from: string | null;
  /** How: `password`, `passkey`, `link`, `oidc`. */
  way: string;
  /** It is the one that asks. */
  here: boolean;
}

/** A failed try to sign in under somebody's name. */
export interface FailedTry {
  /** When. */
  at: number;
  /** From which address. */
  from: string | null;
  /** How: `password`, `passkey`, `oidc`. */
  way: string;
}

/** A passkey, as it is known here. */
export interface Passkey {
  /** To revoke it. */
  id: string;
  /** What its owner calls it. */
  name: string;
  /** It may be on several devices of its owner, kept alike by their maker; else it is on one. */
  synced: boolean;
  /** When it was made. */
  made: number;
  /** When it last let somebody in. */
  used: number | null;
}

/** A passkey that a device has made: `RegistrationResponseJSON` of WebAuthn, as `toJSON()` of the credential has it. What else stands there is not looked at. */
export interface PasskeyMade {
  /** In base64url, as all bytes here. */
  id: string;
  /** What the device says. */
  response: PasskeyMadeResponse;
  /** What to call it; `Passkey 1` and so on without. */
  name?: string | null;
}

/** What a device says of a passkey that it has made. */
export interface PasskeyMadeResponse {
  /** What the browser says. */
  clientDataJSON: string;
  /** What the device says. */
  attestationObject: string;
}

/** A passkey that signed: `AuthenticationResponseJSON` of WebAuthn, as `toJSON()` of the credential has it. */
export interface PasskeyUsed {
  /** Which, in base64url, as all bytes here. */
  id: string;
  /** What the device says. */
  response: PasskeyUsedResponse;
}

/** What a device says that was asked who is there. */
export interface PasskeyUsedResponse {
  /** What the browser says. */
  clientDataJSON: string;
  /** What the device says. */
  authenticatorData: string;
  /** Of both. */
  signature: string;
  /** Whose the passkey is. */
  userHandle?: string | null;
}

/** Where a browser is to go, so that the organisation's provider says who is there. */
export interface OidcAway {
  /** A page of the provider. */
  url: string;
}

/** What the provider has sent a browser back with: what stands behind `?` in the address. */
export interface OidcReturn {
  /** As it was sent away with. */
  state: string;
  /** Good for a token, once. */
  code?: string | null;
  /** Why there is no code. */
  error?: string | null;
  /** The provider, as it names itself (RFC 9207). */
  iss?: string | null;
}

/** Whom to invite. */
export interface Invite {
  /** By which acts are to be signed. */
  name: string;
  /** What may be done. */
  role: Role;
}

/** A link that works once. */
export interface Link {
  /** To be opened in a browser. */
  url: string;
  /** Until when. */
  until: number;
}

/** What a program may do in somebody's name. */
export interface Token {
  /** To revoke it. */
  id: string;
  /** What it is for. */
  name: string;
  /** Who made it. */
  by: string;
  /** What may be done. */
  role: Role;
  /** Parts of the API that it opens; all of them if empty. */
  scopes: string[];
  /** When it was made. */
  made: number;
  /** When it ends. */
  until: number;
  /** When it was last used. */
  used: number | null;
}

/** A token to make. */
export interface NewToken {
  /** What it is for. */
  name: string;
  /** Not more than who makes it may. */
  role: Role;
  /** `now`, `traffic`, `measures`, `incidents`, `integrity`, `data`, `settings`; all of them if empty. */
  scopes?: string[];
  /** Days until it ends: 1 to 366. */
  days: number;
}

/** A token, shown once. */
export interface MadeToken {
  /** What is known of it afterwards. */
  token: Token;
  /** To be sent as `Authorization: Bearer`. */
  secret: string;
}

/** Where a platform is to be held. */
export interface Hold {
  /** `normal`, `elevated`, `attack`, `overload`, `recovery`; `auto` lets the gate decide. */
  posture: string;
}

/** Words of a person about an incident. */
export interface Words {
  /** What is to be on record. */
  words: string;
  /** Whom it was told, for `told`. */
  whom?: string | null;
}

/** A form for an authority, filled in as far as it can be. */
export interface Draft {
  /** The form. */
  id: string;
  /** What it is. */
  title: string;
  /** By when it is due; none where there is no deadline, or it has not begun. */
  due: number | null;
  /** What only a person knows: the question, and how it is answered. */
  missing: string[];
  /** The draft, in Markdown. */
  markdown: string;
}

/** What is wrong with a configuration. */
export interface Checked {
  /** All of it; with no `error` among them it could be put in force. */
  problems: Wrong[];
  /** SHA-256, in hexadecimal, of the file that it was held against. */
  digest: string;
  /** Lines that differ from the file, with three around them; at most 2,000. */
  diff: Line[];
  /** There are more lines than that. */
  cut: boolean;
  /** Lines that come. */
  more: number;
  /** Lines that go. */
  less: number;
  /** What would be different from what is in force now; nothing is told while there is an `error`. */
  effect: Effect[];
  /** What of it takes effect at the next start only. */
  later: string[];
  /** What is in it, in a line, as `portcullis check` says it; empty while there is an `error`. */
  extent?: string;
  /** Where the file is on the gate's machine. */
  file?: string;
}

/** The configuration as it is written. */
export interface Configuration {
  /** The file. Whoever is no owner sees addresses of `[[alert]]` in part: who has them whole can send there. */
  text: string;
  /** SHA-256 of the file in hexadecimal: what a change is made from says this. */
  digest: string;
  /** Something is masked in the text. */
  masked: boolean;
}

/** A line of a difference between two files, or one around it. */
export interface Line {
  /** `+` comes, `-` goes, ` ` stays. */
  sign: string;
  /** Its number before, from 1. */
  before: number | null;
  /** Its number after, from 1. */
  after: number | null;
  /** The line. */
  text: string;
}

/** One thing that a change does to what the gate understands of the configuration. */
export interface Effect {
  /** What it is about: `platform public, route /search/**`. */
  place: string;
  /** The key; empty where a whole section comes or goes. */
  key: string;
  /** `added`, `removed`, `changed`. */
  kind: string;
  /** What it was, as it would be written; empty where there was none. */
  before: string;
  /** What it is, as it would be written; empty where there is none. */
  after: string;
}

/** An earlier configuration, and the change that took its place. */
export interface Version {
  /** To look at it, or to put it in force again. */
  id: string;
  /** When it was replaced. */
  at: number;
  /** By whom. */
  by: string;
  /** Why. */
  why: string;
  /** Lines that the change added. */
  more: number;
  /** Lines that the change took away. */
  less: number;
  /** SHA-256 of the earlier file in hexadecimal. */
  digest: string;
}

/** One thing that is wrong with a configuration. */
export interface Wrong {
  /** `error` or `warning`. */
  severity: string;
  /** Stable name of this kind of problem. */
  code: string;
  /** What is wrong, in a sentence. */
  message: string;
  /** Where, from 1. */
  line: number;
  /** In characters, from 1. */
  column: number;
  /** A few words about the place. */
  label: string;
  /** What to write instead, or where to look. */
  hints: string[];
  /** The table that it is about, from the top; empty where it is about none. */
  at: TableName[];
  /** The key in that table; empty where it is about the table. */
  key: string;
  /** Which bytes of the text it is about: the first, and the one behind the last. */
  span?: [number, number];
  /** Another place that matters. */
  second?: Place | null;
}

/** A place in a configuration. */
export interface Place {
  /** Which bytes of the text: the first, and the one behind the last. */
  span: [number, number];
  /** Why it matters. */
  label: string;
}

/** A table that the configuration may have, with everything that may be said in it. */
export interface DeclaredTable {
  /** Its keys from the top, with dots: `platform.route`. */
  path: string;
  /** Whether it may come several times. */
  many: boolean;
  /** Of one that does: the key that tells it from the others; none where nothing does. */
  named_by: string | null;
  /** What it is for. */
  doc: string;
  /** Its own keys. */
  keys: DeclaredKey[];
}

/** A key that the configuration may have. */
export interface DeclaredKey {
  /** Its name. */
  name: string;
  /** What it holds: `flag`, `count`, `quantity`, `choice`, `words`, `file`, `host` and more; of a list, what each of its entries is. */
  kind: string;
  /** Whether it is a list of those. */
  list: boolean;
  /** What it takes, in words. */
  takes: string;
  /** Of a choice: what there is to choose from. */
  choices: string[];
  /** Of a quantity: its units. */
  units: string[];
  /** Of a count: the least. */
  least: number | null;
  /** Of a count: the most. */
  most: number | null;
  /** Whether it must be given. */
  must: boolean;
  /** What holds where it is not given, as it would be typed. */
  default: string | null;
  /** What holds then, in words, where that is no value. */
  otherwise: string | null;
  /** Whether it is shown to nobody: whoever has it can act in the organisation's name. */
  secret: boolean;
  /** A value, as the file would have it. */
  example: string;
  /** What it is for. */
  doc: string;
}

/** A table of the configuration. */
export interface TableName {
  /** Its key in the table around it. */
  table: string;
  /** Of one that may come several times, its name. */
  name: string | null;
}

/** What a key holds. */
export type Given = boolean | number | string | (string | number)[];

/** One change of the configuration by a key. */
export interface Edit {
  /** Which table, from the top. */
  at: TableName[];
  /** A table that comes once comes with its first key. */
  act: 'set' | 'unset' | 'add' | 'remove';
  /** The key; for `set` and `unset`. */
  key?: string;
  /** For `set`. */
  value?: Given;
}

/** A configuration with changes by keys in it. Nothing of it is in force. */
export interface Drafted {
  /** With the changes, or as it was where something is wrong with one of them. */
  text: string;
  /** Its tables, those around before those within. */
  tables: WrittenTable[];
  /** What is wrong with the changes. */
  misfits: Misfit[];
}

/** A table as it is written. Of two that have one name, neither is told. */
export interface WrittenTable {
  /** Which, from the top. */
  at: TableName[];
  /** What is written in it; what is secret is masked for everybody. */
  keys: { key: string; value: Given }[];
}

/** Why a change cannot be made. */
export interface Misfit {
  /** Which of the changes, from 0. */
  change: number;
  /** The key that it is about; empty where it is about the table. */
  key: string;
  /** What is wrong, in one sentence without a full stop. */
  message: string;
  /** What to write instead; may be empty. */
  hint: string;
}

/** An attack that the demo can play on itself. */
export interface Play {
  /** Its name. */
  name: string;
  /** What it does, in a sentence. */
  about: string;
}

/** A scenario that comes with the gate. */
export interface ScenarioLine {
  /** To play it. */
  name: string;
  /** What it is about, in a sentence. */
  title: string;
  /** As it is written, to be changed and played as one's own. */
  text: string;
}

/** What to play: a scenario by its name, or one's own as a text. */
export interface Wanted {
  /** One that comes with the gate. */
  name?: string | null;
  /** Or a scenario file, at most 64 KiB. It lasts an hour at most. */
  text?: string | null;
  /** Decides everything left to chance; 1 without. */
  seed?: number | null;
}

/** A rehearsal, without what it found. */
export interface RehearsalLine {
  /** To look at it, and to stop it. */
  id: string;
  /** The scenario's name; empty where it is somebody's own and not read yet. */
  scenario: string;
  /** The seed that it is played with. */
  seed: number;
  /** Who asked for it. */
  by: string;
  /** When it began. */
  begun: number;
  /** When it ended; none while it is played. */
  ended: number | null;
  /** `playing`, `holds`, `fails` (an expectation is not met), `stopped`, `wrong` (it could not be played). */
  state: string;
  /** Why it could not be played or was stopped. */
  words: string;
}

/** A rehearsal, with what it found. */
export interface Rehearsal {
  /** Which, and how it stands. */
  line: RehearsalLine;
  /** What it found; none before it is over. */
  found: Found | null;
}

/** What a rehearsal found, as `portcullis rehearse --json` has it, and second by second. */
export interface Found {
  /** The scenario's name. */
  scenario: string;
  /** What it is about, in a sentence. */
  title: string;
  /** The seed that it was played with. */
  seed: number;
  /** Whether every expectation is met. */
  passed: boolean;
  /** What was expected, and what came. */
  expectations: Expectation[];
  /** Everything else that was measured. */
  figures: Measured[];
  /** Attacks, in seconds since the world began. */
  attacks: Assault[];
  /** Second by second, by column. */
  timeline: Seconds;
  /** What legitimate visitors met. */
  cohorts: Cohort[];
  /** What the gate did, the first of it. */
  acts: PlayedAct[];
  /** So many more. */
  more_acts: number;
  /** SHA-256 over every decision and act in order: the same configuration, scenario and seed have the same. */
  log_hash: string;
}

/** One expectation, and what came of it. */
export interface Expectation {
  /** The figure's name; with ` at least` behind it where the limit is one from below. */
  name: string;
  /** What the figure is. */
  about: string;
  /** What was measured; none where it never happened. */
  value: number | null;
  /** What it must not pass, or must reach. */
  limit: number;
  /** Of both. */
  unit: string;
  /** Whether it is met. */
  passed: boolean;
}

/** One figure. */
export interface Measured {
  /** Its name. */
  name: string;
  /** What it is. */
  about: string;
  /** What was measured. */
  value: number;
  /** Its unit. */
  unit: string;
}

/** An attack's time, in seconds since the world began. */
export interface Assault {
  /** Its name. */
  name: string;
  /** From. */
  from: number;
  /** Until. */
  until: number;
}

/** Points of a rehearsal, by column; all as long as `second`. Counts are of the whole point, the rest is its gravest. */
export interface Seconds {
  /** End of each point, in seconds since the world began. */
  second: number[];
  /** Requests of legitimate visitors. */
  legitimate: number[];
  /** Of those, refused by the gate. */
  legitimate_refused: number[];
  /** Requests of attackers. */
  attack: number[];
  /** Of those, what reached a platform. */
  attack_passed: number[];
  /** The slowest hundredth of legitimate requests took so long, in milliseconds. */
  p99_ms: number[];
  /** The gravest posture of any platform. */
  posture: string[];
}

/** What the sessions of one cohort met. */
export interface Cohort {
  /** Its name, as the scenario has it. */
  name: string;
  /** Whether nothing may ever refuse them. */
  protected: boolean;
  /** Sessions. */
  sessions: number;
  /** Sessions of which a request was refused. */
  refused: number;
  /** Sessions that met a challenge. */
  challenged: number;
  /** Of those, the ones that did not get past it. */
  failed: number;
  /** Sessions of which a request waited for more than two seconds. */
  delayed: number;
  /** Sessions that went away without what they came for. */
  unserved: number;
}

/** What the gate did. */
export interface PlayedAct {
  /** Seconds since the world began. */
  at: number;
  /** The whole of it. */
  words: string;
}

/** What inspection refused, and would have refused where it only observes; which routes do which; the gate's own rules. */
export interface Rules {
  /** Since when records were read, in Unix milliseconds. */
  since: number;
  /** When the first of them was written (RFC 3339); none where nothing was found. */
  from: string | null;
  /** When the last was. */
  until: string | null;
  /** Older ones that were left out, because there are too many. */
  older_left_out: number;
  /** Each route of the policy in force, and each that is on record; what most visitors met first. */
  routes: RouteFindings[];
  /** Rules that the gate has found by itself: in force, on trial, withdrawn. */
  own: OwnRule[];
}

/** What inspection found on one route. */
export interface RouteFindings {
  /** Its platform. */
  platform: string;
  /** Its path, as the configuration writes it. */
  route: string;
  /** `off`, `observe`, `enforce`: the gate's own detection; empty where the route is not configured any more. */
  detection: string;
  /** The same of rule sets; `none` where there are none. */
  rules: string;
  /** What is left out, as `exclude` writes it. */
  exclude: string[];
  /** Requests in which something was found that is refused, or would be. */
  requests: number;
  /** Of those, refused. */
  refused: number;
  /** Of those, only observed. */
  would_be_refused: number;
  /** Different visitors. */
  visitors: number;
  /** By what the gate knew of them: `known`, `vouched`, `crawler`, `visitor`, `stranger`. */
  audience: Record<string, number>;
  /** One that can be explained. */
  reference: string;
  /** By rule or family, what most visitors met first; fifty at most. */
  by: Finding[];
  /** By family of rules. */
  families: Finding[];
}

/** How often one rule or family found something. */
export interface Finding {
  /** A rule's number, or a family. */
  what: string;
  /** What is wrong, in words. */
  why: string;
  /** Requests. */
  requests: number;
  /** Of those, refused. */
  refused: number;
  /** Of those, only observed. */
  would_be_refused: number;
  /** Different visitors. */
  visitors: number;
  /** By what the gate knew of them. */
  audience: Record<string, number>;
  /** One that can be explained. */
  reference: string;
}

/** A rule that the gate has found by itself. */
export interface OwnRule {
  /** Where it holds. */
  platform: string;
  /** The rule. */
  rule: Measure;
}

/** What would have let recorded requests pass, as `portcullis tune --json` has it. */
export interface Tuning {
  /** Requests on record in which something was found. */
  records: number;
  /** Older ones that were left out. */
  older_left_out: number;
  /** Of those, tried again. */
  tried: number;
  /** What most visitors met first. */
  proposals: Release[];
  /** Proposals that fewer visitors met, or that there was no time to try. */
  more_proposals: number;
  /** Requests that no exclusion of single values lets pass. */
  no_exclusion_suffices: number;
  /** Requests that were not tried, and why. */
  not_tried: Untried[];
}

/** Exclusions for one route, tried on what is on record. */
export interface Release {
  /** Its platform. */
  platform: string | null;
  /** Its path, as the configuration writes it. */
  route: string | null;
  /** As `exclude` writes them: single rules or families, on single variables. */
  exclude: string[];
  /** Of each, a part that matched. */
  matched: Record<string, string>;
  /** What they are for. */
  releases: Reached;
  /** What else would pass then: how far they reach. */
  also_releases: Reached;
  /** Others in which one of them has a part, and which are refused all the same. */
  stay: number;
  /** Why the configuration would not take them. */
  refused: string | null;
}

/** Requests on record. */
export interface Reached {
  /** How many. */
  records: number;
  /** From how many visitors. */
  visitors: number;
  /** By what the gate knew of them. */
  audience: Record<string, number>;
  /** Some of them. */
  references: string[];
}

/** Requests that were not tried. */
export interface Untried {
  /** Why. */
  why: string;
  /** How many. */
  records: number;
}

/** A change of what is inspected. */
export interface RuleChange {
  /** `exclude` leaves something out; `refuse` and `observe` say what becomes of what is found. */
  kind: string;
  /** The platform. */
  platform: string;
  /** The route, as the configuration writes its path; `exclude` needs one, the others mean the whole platform without. */
  route?: string | null;
  /** Of `refuse` and `observe`: `detection` or `rules` alone. */
  only?: string | null;
  /** Of `exclude`: what is left out, as the configuration writes it; at most twenty. */
  exclude?: string[];
}

/** A change of what is inspected, to be tried. */
export interface TryRule {
  /** The change. */
  change: RuleChange;
  /** On records from then on, in Unix milliseconds; a day without. */
  since?: number | null;
}

/** A change of what is inspected, to be made. */
export interface ApplyRule {
  /** The change. */
  change: RuleChange;
  /** `digest` of the configuration that it was tried on. */
  base: string;
  /** Why; at most 160 characters. */
  why?: string;
}

/** What a change would do to what is on record. Nothing was changed. */
export interface Tried {
  /** What the change is, in a line. */
  words: string;
  /** `digest` of the configuration that it was tried on. */
  digest: string;
  /** The lines of the configuration that differ. */
  diff: Line[];
  /** Requests on record in which something was found. */
  records: number;
  /** Older ones that were left out. */
  older_left_out: number;
  /** Routes that it concerns and that are on record. */
  routes: TriedRoute[];
  /** Requests that were not tried, and why. */
  not_tried: Untried[];
}

/** The same of one route. */
export interface TriedRoute {
  /** Its platform. */
  platform: string;
  /** Its path. */
  route: string;
  /** Requests on record in which something was found. */
  records: number;
  /** Of those, refused as it is. */
  refused_now: number;
  /** Of those, refused as it would be. */
  refused_then: number;
  /** Refused as it is, and would pass. */
  released: Reached;
  /** Pass as it is, and would be refused. */
  caught: Reached;
}

/** A database behind the gate, with what applications run on it. */
export interface GuardedDatabase {
  /** Its name. */
  name: string;
  /** `observe` or `enforce`: whether anything is refused at all. */
  mode: string;
  /** Sessions that are open. */
  sessions: number;
  /** Statements that passed since the gate began. */
  statements: number;
  /** Of all that came, refused. */
  refused: number;
  /** Rows that left. */
  rows: number;
  /** How each role is treated. */
  roles: DatabaseRole[];
  /** What waits for a person: what was never approved, and what reaches further by now. */
  waiting: WaitingStatement[];
  /** How many wait; `waiting` has the first 500. */
  total: number;
}

/** How the statements of a role are treated. */
export interface DatabaseRole {
  /** The role; `*` is every role without a line of its own. */
  role: string;
  /** `observe`, `learn`, `enforce`. */
  stage: string;
  /** Statements that are approved. */
  approved: number;
  /** Statements that were learned, and are not approved or reach further by now. */
  waiting: number;
  /** Statements that came while the role was held to what is approved, and are not. */
  refused: number;
  /** Stands for what was learned and waits, to approve all of it; none where nothing does. */
  mark: string | null;
}

/** A statement that waits for a person. It has no constant: `?` stands in their place. */
export interface WaitingStatement {
  /** Its number. */
  key: string;
  /** Stands for this statement as it waits now, to approve it. */
  mark: string | null;
  /** Whose. */
  role: string;
  /** From which network; `*` is from everywhere. */
  client: string;
  /** Its form. */
  form: string;
  /** What it does that the form leaves out. */
  facts: string[];
  /** How far it was seen to reach. */
  seen: string[];
  /** How far it may reach; none where it was never approved. */
  approved: string[] | null;
  /** What goes beyond that, in words. */
  further: string | null;
  /** It came while the role was held to what is approved. */
  refused: boolean;
  /** When it was first seen. */
  first: number;
}

/** What of a role to approve. It is done only while that is what was shown. */
export interface ApproveStatements {
  /** Whose statements. */
  role: string;
  /** One statement, by its number; all that were learned and wait without. */
  key?: string | null;
  /** As it was shown beside the role or the statement. */
  mark: string;
}

/** How a role is to be treated. */
export interface RoleStage {
  /** Which; `*` is every role without a stage of its own. */
  role: string;
  /** `observe`, `learn`, `enforce`. */
  stage: string;
  /** Even where nothing was learned, or not all that was learned is approved. */
  despite?: boolean;
}

/** A copy of personal data, as the register has it. */
export interface RegisteredCopy {
  /** Its name. */
  name: string;
  /** `web`, `database`, `side-copy`, `processor`, `credentials`. */
  what: string;
  /** Who holds it. */
  holder: string;
  /** What is in it, in the words of the ICO's form. */
  categories: string[];
  /** How many people it is about, where that is known. */
  people: number | null;
  /** Since when the ledger has it in the register; none where it has not yet. */
  since: number | null;
  /** Ways to it. */
  paths: RegisteredPath[];
}

/** A way to a copy. */
export interface RegisteredPath {
  /** `http/public`, `database/members`, or a name of its own. */
  name: string;
  /** What it is. */
  words: string;
  /** `guarded`, `attested`, `unguarded`. */
  custody: string;
  /** Who must watch for it to be covered. */
  sensors: string[];
  /** Since when it is kept so; none where the ledger does not have it yet. */
  since: number | null;
  /** Of the time since the gate began, a day at most, all of them watched so much of it: 0 to 1. None where nobody is to watch. */
  covered: number | null;
  /** Why it was not watched, the longest first. */
  gaps: PathGap[];
  /** Its last drill. */
  drill: LastDrill | null;
}

/** Why a way was not watched. */
export interface PathGap {
  /** Which sensor was missing. */
  sensor: string;
  /** `no heartbeat`, `restarted`, `clock`, `dropped`, or what the sensor said. */
  cause: string;
  /** From. */
  from: number;
  /** Until. */
  until: number;
}

/** A try of what watches. */
export interface LastDrill {
  /** When. */
  at: number;
  /** `canary-http`, `canary-sql`, `canary-copy`, … */
  what: string;
  /** The path or sensor that it tried. */
  path: string;
  /** It was seen. */
  seen: boolean;
  /** What happened, in a sentence. */
  words: string;
}

/** The canaries, and how they are tried. */
export interface CanaryBook {
  /** Every one, with those that are retired. */
  canaries: CanaryLine[];
  /** The configuration names them: they are looked for. */
  declared: boolean;
  /** The last drill of each way. */
  drills: LastDrill[];
}

/** One that does not exist and nobody should see. Its value is nowhere here. */
export interface CanaryLine {
  /** `c-1`. */
  id: string;
  /** `member`, `id`, `key`. */
  kind: string;
  /** The domain of a member's mail; empty for others. */
  domain: string;
  /** Where it may be seen: `PLATFORM:/path/**`, or `pg:ROLE`. */
  homes: string[];
  /** The day it was made. */
  planted: string;
  /** The day from which it is not looked for any more. */
  retired: string | null;
  /** How often it was seen where it may not be; drills are not counted. */
  seen: number;
  /** When it was seen last. */
  last_seen: number | null;
  /** By which path of the register it was seen last. */
  last_path: string | null;
}

/** A budget to put in force: of the records that may leave by a route. */
export interface NewBudget {
  /** `PLATFORM/ROUTE`, as the configuration writes its path. */
  place: string;
  /** Records an hour for each session, 1 or more. */
  records: number;
}

/** An incident that a person opens, because the gate cannot see it. */
export interface NewIncident {
  /** What happened, and how you know. */
  because: string;
  /** Platforms and databases that it concerns. */
  platforms?: string[];
  /** Since when; now without. */
  since?: number | null;
}

/** A report that was handed in. */
export interface HandedIn {
  /** Which form, by its name among the drafts. */
  form: string;
  /** To whom. */
  to: string;
  /** When; now without. */
  at?: number | null;
  /** SHA-256 of what was handed in, in 64 hexadecimal digits: whoever has the file can show that it is the one. */
  sha256: string;
  /** The number that it was given there. */
  receipt?: string;
}
