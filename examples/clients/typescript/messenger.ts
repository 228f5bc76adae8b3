// A client of mcp-messenger's REST API, in one file: copy it. It needs nothing but fetch. Made by `make readme` from the server's OpenAPI document; do not edit.

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint?: string;
  constructor(status: number, problem: { code?: string; detail?: string; hint?: string }) {
    super(`${problem.code}: ${problem.detail}`);
    this.status = status;
    this.code = problem.code ?? 'unknown';
    this.hint = problem.hint;
  }
}

export interface AccountAnswer {
  instance_id: string;
  provider: string;
  account: Record<string, unknown>;
}

export interface ActiveProviders {
  providers: Array<string>;
  available: Record<string, Array<string>>;
}

export interface ActivityStats {
  by_hour: Array<Traffic>;
  by_day: Array<Traffic>;
  last_activity?: string | null;
  errors: number;
}

export interface AgentRoute {
  agent_id?: string | null;
  chats?: Array<string>;
  kinds?: Array<ChatKind>;
}

export interface ApiKey {
  id: string;
  prefix: string;
  created_at: string;
  api_key: string;
}

export interface ApprovalAnswer {
  untrusted?: boolean;
  approval: ApprovalView;
}

export interface ApprovalLink {
  url: string;
  expires_at: string;
}

export interface ApprovalList {
  untrusted?: boolean;
  approvals: Array<ApprovalView>;
  next_cursor?: string | null;
}

export interface ApprovalView {
  approval_id: string;
  code?: string | null;
  kind: string;
  status: string;
  operation: string;
  instance_id?: string | null;
  chat_id?: string | null;
  chat_title?: string | null;
  content?: string;
  arguments?: Record<string, unknown>;
  rule: string;
  reason: string;
  reason_by?: string;
  asked_by: string;
  created_at: string;
  expires_at: string;
  decided_by?: string | null;
  decided_at?: string | null;
  result?: Record<string, unknown> | null;
  answer?: string | null;
  next_step?: string;
}

export interface AskingPerson {
  id: string;
  name?: string | null;
  phone?: string | null;
  at?: string | null;
}

export interface AuditCheck {
  ok: boolean;
  rows: number;
  to_seal: number;
  head: string;
  is_signed?: boolean | null;
  faults?: Array<AuditFault>;
}

export interface AuditEntry {
  id: string;
  at: string;
  user_id?: string | null;
  caller: string;
  key_id?: string | null;
  session?: string | null;
  client?: string | null;
  operation: string;
  instance_id?: string | null;
  chat_id?: string | null;
  target?: string | null;
  message_id?: string | null;
  outcome: string;
  rule?: string | null;
  decided_by?: string | null;
  approval_id?: string | null;
  code?: string | null;
  content?: string | null;
  salt?: string | null;
  details?: Record<string, unknown> | null;
  mac?: string | null;
  position?: number | null;
  is_genuine?: boolean | null;
  digest?: string | null;
  hash?: string | null;
  erased_at?: string | null;
}

export interface AuditFault {
  fault: string;
  position: number;
  id?: string | null;
  count?: number;
}

export interface AuditList {
  entries: Array<AuditEntry>;
  next_cursor?: string | null;
}

export interface AuthStatus {
  instance_id: string;
  state: string;
  authenticated: boolean;
  account?: Record<string, unknown> | null;
  needs: string;
  reason?: string | null;
  next_step?: string;
}

export interface BlockList {
  contacts: Array<string>;
}

export interface CallCheck {
  policy: string;
  rule?: string | null;
  policy_words?: string | null;
}

export interface Cancelled {
  message_id: string;
  status: string;
}

export interface CaughtUp {
  untrusted?: boolean;
  instances: Array<InstanceToAnswer>;
  left_out?: number;
  next_cursor?: string | null;
  wait_cursor?: string;
}

export interface ChatAgent {
  mode: string;
  until?: string | null;
  reason?: string | null;
}

export interface ChatAnswer {
  untrusted?: boolean;
  chat: ChatView;
}

export type ChatKind = "private" | "group" | "channel" | "unknown";

export interface ChatList {
  untrusted?: boolean;
  chats: Array<ChatView>;
  next_cursor?: string | null;
}

export interface ChatToAnswer {
  chat_id: string;
  title?: string;
  kind?: string;
  unread?: number;
  mentions?: number;
  unanswered?: boolean;
  messages?: Array<MessageView>;
}

export interface ChatView {
  id: string;
  kind: string;
  title?: string;
  username?: string | null;
  phone?: string | null;
  unread?: number;
  last_at?: string | null;
  last_text?: string | null;
  last_from_me?: boolean;
  marks?: Array<string>;
  closed?: string | null;
  stranger?: boolean;
  read_back_to?: string | null;
}

export interface Choice {
  id: string;
  title: string;
  description?: string | null;
}

export interface Cleared {
  cleared: number;
}

export interface ContactList {
  untrusted?: boolean;
  contacts: Array<ContactView>;
  next_cursor?: string | null;
}

export interface ContactOf {
  instance_id: string;
  contact_id: string;
}

export interface ContactView {
  id: string;
  name?: string;
  username?: string | null;
  phone?: string | null;
  is_bot?: boolean;
  is_admin?: boolean;
  called?: Array<string>;
  last_at?: string | null;
}

export interface ContainerFigures {
  instance_id: string;
  state: string;
  port?: number | null;
  cpu?: number | null;
  memory_mb?: number | null;
  memory_limit_mb?: number | null;
  processes?: number | null;
}

export interface ContextLine {
  id: string;
  at: string;
  own?: boolean;
  from?: string | null;
  text?: string;
}

export type ControlAction = "take" | "pass" | "release" | "request";

export interface CreatedInstance {
  instance_id: string;
  address?: string | null;
  status: string;
  instance: InstanceView;
  capabilities?: Array<string>;
  lacking?: Record<string, string>;
  limits?: Limits | null;
  retention?: Record<string, string>;
  webhook_secret?: string | null;
  api_key?: string | null;
}

export interface CreatedKey {
  id: string;
  key: string;
  expires_at?: string | null;
}

export interface Credential {
  field: string;
  masked: string;
  rotated_at: string;
  value?: string | null;
}

export interface CredentialCheck {
  account?: Record<string, unknown> | null;
}

export interface CredentialList {
  credentials: Array<Credential>;
}

export interface Delivery {
  id: string;
  event: string;
  type?: string | null;
  target: string;
  chat_id?: string | null;
  status: string;
  attempts: number;
  next_attempt_at?: string | null;
  error?: string | null;
  created_at: string;
  done_at?: string | null;
}

export interface DeliveryList {
  deliveries: Array<Delivery>;
  next_cursor?: string | null;
}

export interface Downloaded {
  untrusted?: boolean;
  path: string;
  name: string;
  mime: string;
  size: number;
  resource: string;
  base64?: string | null;
}

export interface EngineFigures {
  version?: string | null;
  away?: string | null;
  containers?: number;
  running?: number;
}

export interface Erasure {
  messages?: number;
  chats?: number;
  contacts?: number;
  instances?: number;
}

export interface ErrorEntry {
  code: string;
  message: string;
  at: string;
  first_at: string;
  count: number;
}

export interface ErrorList {
  errors: Array<ErrorEntry>;
}

export interface EventList {
  untrusted?: boolean;
  events: Array<EventView>;
  next_cursor: string;
}

export interface EventView {
  id: string;
  type: string;
  instance_id: string;
  at: string;
  chat_id?: string | null;
  message_id?: string | null;
  message?: MessageView | null;
  data?: Record<string, unknown>;
}

export interface Examination {
  ok: boolean;
  findings: Array<FindingView>;
}

export interface FindingView {
  check: string;
  verdict: string;
  detail: string;
  hint?: string | null;
}

export interface GroupAnswer {
  untrusted?: boolean;
  group: GroupView;
}

export interface GroupChanged {
  untrusted?: boolean;
  group: GroupView;
  results?: Array<ParticipantResult>;
}

export interface GroupList {
  untrusted?: boolean;
  groups: Array<GroupView>;
}

export interface GroupView {
  id: string;
  title: string;
  participants?: Array<string>;
  admins?: Array<string>;
  description?: string | null;
  invite_link?: string | null;
}

export interface Health {
  status: string;
  timestamp: string;
  uptime: number;
  environment: string;
  version: string;
  checks: Record<string, unknown>;
}

export interface Hit {
  id: string;
  instance_id?: string | null;
  chat_id?: string | null;
  at: string;
  own?: boolean;
  from?: string | null;
  sender_id?: string | null;
  first?: boolean;
  namesake?: string | null;
  stranger?: boolean;
  unverified?: boolean;
  text?: string;
  truncated?: boolean;
  kind?: string;
  status?: string | null;
  reply_to?: string | null;
  thread_id?: string | null;
  mentions_me?: boolean;
  media?: Array<MediaView>;
  location?: Record<string, unknown> | null;
  poll?: Record<string, unknown> | null;
  contact?: Record<string, unknown> | null;
  choices?: Array<Record<string, unknown>>;
  template?: Record<string, unknown> | null;
  chosen?: string | null;
  forwarded?: Record<string, unknown> | null;
  quoted?: Record<string, unknown> | null;
  thread_title?: string | null;
  album?: string | null;
  standby?: string | null;
  format?: string;
  votes?: Array<VoteView>;
  reactions?: Record<string, Array<string>>;
  edited?: boolean;
  deleted?: boolean;
  error?: Record<string, unknown> | null;
  platform_id?: string | null;
  context?: Array<ContextLine>;
  chat?: string;
}

export interface Hits {
  untrusted?: boolean;
  messages: Array<Hit>;
  looked_to?: string | null;
  note?: string | null;
  next_cursor?: string | null;
}

export interface IdentityView {
  instance_id: string;
  provider: string;
  contact_id: string;
  name?: string;
  username?: string | null;
  phone?: string | null;
  confirmed_at?: string | null;
}

export interface Imported {
  instances?: number;
  chats?: number;
  contacts?: number;
  aliases?: number;
  people?: number;
  messages?: number;
  known?: number;
  erased?: number;
  files?: number;
}

export interface Inbound {
  wake?: "anyone" | "paired" | "trusted" | "list" | "off";
  allow?: Array<string>;
  group_words?: "mentions" | "all";
  pairing_text?: string | null;
}

export interface InstanceAnswer {
  instance_id: string;
  address?: string | null;
  status: string;
  instance: InstanceView;
  capabilities?: Array<string>;
  lacking?: Record<string, string>;
  limits?: Limits | null;
  retention?: Record<string, string>;
}

export interface InstanceHealth {
  instance_id: string;
  state: string;
  connected: boolean;
  last_event_at?: string | null;
  degraded_reason?: string | null;
  agent_trouble?: string | null;
  running_here: boolean;
}

export interface InstanceList {
  instances: Array<InstanceView>;
  next_cursor?: string | null;
}

export interface InstanceToAnswer {
  instance_id: string;
  provider: string;
  account?: string | null;
  chats: Array<ChatToAnswer>;
}

export interface InstanceView {
  id: string;
  provider: string;
  name?: string;
  status: string;
  status_reason?: string | null;
  user_id: string;
  type_instance: Array<string>;
  runtime: string;
  container?: string | null;
  port?: number | null;
  address_trouble?: string | null;
  needs?: string;
  account?: Record<string, unknown> | null;
  settings?: Record<string, unknown>;
  agent_id?: string | null;
  agno_enable?: boolean;
  stream?: boolean;
  quiet_hours?: string | null;
  agent_routes?: Array<Record<string, unknown>> | null;
  agent_trouble?: string | null;
  api_webhook_schema?: Record<string, unknown> | null;
  last_activity?: string | null;
  created_at: string;
  updated_at: string;
}

export interface InviteLink {
  invite_link: string;
}

export interface JoinRequestList {
  untrusted?: boolean;
  requests: Array<AskingPerson>;
}

export interface JoinRequestsAnswered {
  results: Array<ParticipantResult>;
}

export interface KeyEntry {
  id: string;
  prefix: string;
  created_at: string;
  revealed_at?: string | null;
  revoked_at?: string | null;
}

export interface KeyHistory {
  history: Array<KeyEntry>;
}

export interface KeyList {
  keys: Array<KeyView>;
}

export interface KeyView {
  id: string;
  kind?: string;
  user_id: string;
  name: string;
  prefix: string;
  scopes: Array<string>;
  instance_ids?: Array<string> | null;
  created_at: string;
  expires_at?: string | null;
  last_used_at?: string | null;
  revoked_at?: string | null;
  policy?: Record<string, unknown> | null;
}

export interface Limits {
  max_text: number;
  text_unit?: TextUnit;
  max_caption?: number | null;
  max_upload?: number | null;
  max_photo?: number | null;
  max_download?: number | null;
  reply_window_hours?: number | null;
  overall_rate?: Rate | null;
  chat_rate?: Rate | null;
  group_rate?: Rate | null;
  edit_pause?: number;
}

export interface LogLines {
  lines: Array<string>;
}

export interface LoginAnswer {
  instance_id: string;
  state: string;
  authenticated: boolean;
  account?: Record<string, unknown> | null;
  needs: string;
  reason?: string | null;
  next_step?: string;
  qr?: string;
  page?: string | null;
  link?: string | null;
  pairing_code?: string | null;
  expires_at?: string | null;
}

export type MediaKind = "image" | "video" | "audio" | "voice" | "document" | "sticker";

export interface MediaView {
  kind: string;
  mime?: string | null;
  size?: number | null;
  name?: string | null;
  duration?: number | null;
  transcript?: string | null;
  kept?: string | null;
}

export interface MemoryAnswer {
  data: MemoryData;
}

export interface MemoryData {
  status: string;
  provider: string;
  qr?: string | null;
  api_key_id?: string | null;
  last_activity?: string | null;
  counters?: Record<string, number>;
  loaded_at: string;
}

export interface MemoryStats {
  stats: MemoryTotals;
}

export interface MemoryTotals {
  total_instances: number;
  by_status: Record<string, number>;
  by_provider: Record<string, number>;
  evicted: number;
  running_here: number;
}

export interface MessageAnswer {
  untrusted?: boolean;
  message: MessageView;
  raw?: string | null;
}

export interface MessageList {
  untrusted?: boolean;
  chat_id?: string | null;
  chat_title?: string;
  messages: Array<MessageView>;
  next_cursor?: string | null;
}

export interface MessageView {
  id: string;
  instance_id?: string | null;
  chat_id?: string | null;
  at: string;
  own?: boolean;
  from?: string | null;
  sender_id?: string | null;
  first?: boolean;
  namesake?: string | null;
  stranger?: boolean;
  unverified?: boolean;
  text?: string;
  truncated?: boolean;
  kind?: string;
  status?: string | null;
  reply_to?: string | null;
  thread_id?: string | null;
  mentions_me?: boolean;
  media?: Array<MediaView>;
  location?: Record<string, unknown> | null;
  poll?: Record<string, unknown> | null;
  contact?: Record<string, unknown> | null;
  choices?: Array<Record<string, unknown>>;
  template?: Record<string, unknown> | null;
  chosen?: string | null;
  forwarded?: Record<string, unknown> | null;
  quoted?: Record<string, unknown> | null;
  thread_title?: string | null;
  album?: string | null;
  standby?: string | null;
  format?: string;
  votes?: Array<VoteView>;
  reactions?: Record<string, Array<string>>;
  edited?: boolean;
  deleted?: boolean;
  error?: Record<string, unknown> | null;
  platform_id?: string | null;
  context?: Array<ContextLine>;
}

export interface MessengerList {
  messengers: Array<MessengerView>;
}

export interface MessengerView {
  provider: string;
  title: string;
  needs: string;
  login: string;
  steps: Array<string>;
  settings: Array<SettingAsked>;
  scan: Array<string>;
  then: string;
  webhook?: string | null;
}

export interface MultiProviderStats {
  providers: Record<string, ProviderStats>;
}

export interface NewMessages {
  untrusted?: boolean;
  messages: Array<MessageView>;
  reactions?: Array<Reacted>;
  edited?: Array<MessageView>;
  votes?: Array<Voted>;
  reminders?: Array<Reminder>;
  cursor: string;
}

export interface NewSecret {
  secret: string;
  former_valid_until?: string | null;
}

export interface NumberCheck {
  untrusted?: boolean;
  registered: boolean;
  chat_id?: string | null;
  phone?: string | null;
  name?: string | null;
}

export interface OneGroup {
  untrusted?: boolean;
  id: string;
  title: string;
  participants?: Array<string>;
  admins?: Array<string>;
  description?: string | null;
  invite_link?: string | null;
}

export interface OneOfMany {
  to: string;
  message: string;
}

export interface Outbound {
  send_to?: "anyone" | "contacts" | "known" | "replied" | "list" | "nobody";
  otherwise?: "ask" | "deny";
  allow?: Array<string>;
  deny?: Array<string>;
  groups?: "allow" | "ask" | "deny";
  files?: "any" | "own" | "none";
  max_file_bytes?: number | null;
  links?: "allow" | "ask" | "deny";
  mass_mentions?: "allow" | "ask" | "deny";
  new_chats_a_day?: number | null;
  sends_an_hour?: number | null;
  quiet_hours?: string | null;
}

export interface OwnerChat {
  instance_id: string;
  chat_id: string;
}

export interface PageOfPerson {
  url: string;
  expires_at: string;
}

export interface PairingCode {
  pairing_code: string;
}

export interface ParticipantResult {
  id: string;
  ok: boolean;
  reason?: string | null;
}

export interface Performance {
  cpu_usage: number;
  memory_usage: number;
  load_average: Array<number>;
  process: Record<string, number>;
}

export interface Person {
  untrusted?: boolean;
  person: PersonView;
}

export interface PersonList {
  untrusted?: boolean;
  people: Array<PersonView>;
  next_cursor?: string | null;
}

export interface PersonView {
  person_id: string;
  name?: string;
  confirmed?: Array<IdentityView>;
  proposed?: Array<IdentityView>;
}

export interface PlatformHit {
  platform_id: string;
  chat_id: string;
  chat?: string;
  thread_id?: string | null;
  at: string;
  own?: boolean;
  sender?: string | null;
  sender_id?: string | null;
  text?: string;
  media?: Array<string>;
}

export interface PlatformHits {
  untrusted?: boolean;
  messages: Array<PlatformHit>;
}

export interface Policy {
  preset?: string;
  read_only?: boolean;
  outbound?: Outbound;
  inbound?: Inbound;
  taint?: "strict" | "answers" | "off";
  taint_minutes?: number;
  approval_minutes?: number;
  owner?: OwnerChat | null;
  binds_owner?: boolean;
  client_decides?: boolean;
}

export interface PolicyAnswer {
  instance_id: string;
  policy: Policy;
  trusted?: Array<string>;
  paired?: Array<string>;
  of_key?: Record<string, unknown> | null;
  contacts?: string | null;
  presets?: Array<string>;
}

export interface Ports {
  used_ports: Array<number>;
  range: Array<number>;
  free: number;
}

export interface PostedStory {
  platform_id: string;
}

export interface ProviderStats {
  instances: Record<string, number>;
  messages_in?: number;
  messages_out?: number;
  errors?: number;
}

export interface QrAnswer {
  instance_id: string;
  status: string;
  qr: string;
  png?: string;
  sequence: number;
  issued_at: string;
  expires_at: string;
  pairing_code?: string | null;
}

export interface QrEntry {
  sequence: number;
  issued_at: string;
  expires_at: string;
  outcome: string;
}

export interface QrHistory {
  history: Array<QrEntry>;
}

export type Quota = "instances" | "memory" | "media" | "subscriptions" | "waits";

export interface QuotaList {
  user_id: string;
  quotas: Record<string, QuotaView>;
}

export interface QuotaView {
  most: string;
  used: number;
  is_own?: boolean;
}

export interface Rate {
  count: number;
  seconds: number;
}

export interface Reacted {
  instance_id?: string | null;
  message_id: string;
  chat_id?: string | null;
  sender_id: string;
  emojis: Array<string>;
}

export interface Remembered {
  name: string;
  contact_id?: string | null;
}

export interface Reminder {
  scheduled_id: string;
  instance_id: string;
  text: string;
  at: string;
  outcome?: Record<string, unknown> | null;
  tainted?: boolean | null;
}

export interface RemovedInstance {
  instance_id: string;
  provider?: string | null;
  user_id?: string | null;
  removed_at?: string | null;
  chats: number;
}

export interface RemovedInstances {
  removed: Array<RemovedInstance>;
  next_cursor?: string | null;
}

export interface Replayed {
  events: number;
  next_cursor?: string | null;
}

export interface Replies {
  untrusted?: boolean;
  replies: Array<MessageView>;
  others?: Array<MessageView>;
  reactions?: Record<string, Array<string>>;
  status: string;
}

export interface Resources {
  cpu_usage: number;
  memory_usage: number;
  load_average: Array<number>;
  process: Record<string, number>;
  disk: Record<string, number>;
  instances: Record<string, unknown>;
  docker?: EngineFigures | null;
  containers?: Array<ContainerFigures>;
}

export interface Retried {
  retried: number;
}

export interface ScheduledAnswer {
  scheduled: ScheduledView;
}

export interface ScheduledList {
  untrusted?: boolean;
  scheduled: Array<ScheduledView>;
  next_cursor?: string | null;
}

export interface ScheduledView {
  id: string;
  instance_id: string;
  kind: string;
  chat_id?: string | null;
  at: string;
  due_at: string;
  text?: string;
  status?: string;
  outcome?: Record<string, unknown> | null;
  tainted?: boolean;
}

export type Scope = "read" | "send" | "manage" | "delete" | "keys";

export interface SendAnswer {
  message_id: string;
  status: string;
  chat_id: string;
  platform_id?: string | null;
  detail?: string | null;
  also?: Array<string>;
  replies?: Array<MessageView>;
  reactions?: Record<string, Array<string>>;
}

export interface SendCheck {
  ok: boolean;
  policy?: string;
  rule?: string | null;
  policy_words?: string | null;
  refusal?: string | null;
  reason?: string | null;
  instead?: string | null;
  length: number;
  max_length: number;
  length_unit: string;
  wait_seconds?: number;
}

export interface SendingBudgetAnswer {
  begun: number;
  allowed: number;
  allowed_after_warm_up: number;
  warm_up_until?: string | null;
  locked_until?: string | null;
  next_at?: string | null;
  pace?: Rate | null;
  pace_in_chat?: Rate | null;
}

export interface SentMany {
  results: Array<SentOne>;
}

export interface SentOne {
  to: string;
  message_id?: string | null;
  status?: string;
  chat_id?: string | null;
  code?: string | null;
  detail?: string | null;
  hint?: string | null;
}

export interface SettingAsked {
  name: string;
  label: string;
  where: string;
  secret?: boolean;
  required?: boolean;
  generated?: boolean;
  advanced?: boolean;
}

export interface ShownMedia {
  untrusted?: boolean;
  name: string;
  mime: string;
  size: number;
  width?: number | null;
  height?: number | null;
  text?: string | null;
  text_goes_on?: number | null;
  note?: string | null;
  resource: string;
}

export interface StatusEntry {
  status: string;
  reason?: string | null;
  at: string;
}

export interface StatusHistory {
  history: Array<StatusEntry>;
}

export interface Suggestion {
  contacts: Array<ContactOf>;
}

export interface Suggestions {
  suggestions: Array<Suggestion>;
}

export interface Template {
  name: string;
  language: string;
  status?: string;
  category?: string;
  text?: string;
  header?: string;
  buttons?: Array<string>;
}

export interface TemplateButton {
  index: number;
  kind?: "url" | "quick_reply" | "copy_code";
  value: string;
}

export interface TemplateList {
  templates: Array<Template>;
}

export type TextFormat = "plain" | "markdown" | "html";

export type TextUnit = "characters" | "utf16" | "bytes";

export interface Traffic {
  start: string;
  messages_in?: number;
  messages_out?: number;
}

export interface Unlinked {
  unlinked: number;
}

export interface UpdatedInstance {
  instance_id: string;
  address?: string | null;
  status: string;
  instance: InstanceView;
  capabilities?: Array<string>;
  lacking?: Record<string, string>;
  limits?: Limits | null;
  retention?: Record<string, string>;
  webhook_secret?: string | null;
}

export interface Usage {
  user_id: string;
  instances: Record<string, number>;
  messages: Array<UsageOfDay>;
  deliveries_pending: number;
  deliveries_dead: number;
  keys: number;
  quotas: Record<string, QuotaView>;
}

export interface UsageOfDay {
  day: string;
  messages_in?: number;
  messages_out?: number;
}

export interface UserToken {
  id: string;
  user_id: string;
  token: string;
}

export interface VoteView {
  sender_id?: string | null;
  name?: string;
  options: Array<string>;
  count?: number | null;
}

export interface Voted {
  instance_id?: string | null;
  message_id: string;
  chat_id?: string | null;
  sender_id?: string | null;
  options: Array<string>;
}

export interface WebhookAnswer {
  enabled?: boolean;
  url?: string | null;
  events?: Array<string> | null;
  filters?: Record<string, unknown>;
  headers?: Array<string>;
  secret?: string | null;
}

export interface WebhookConfig {
  enabled?: boolean;
  url?: string | null;
  filters?: WebhookFilters;
  events?: Array<string> | null;
  only_waking?: boolean | null;
  secret?: string | null;
  headers?: Record<string, string> | null;
}

export interface WebhookFilters {
  allowGroups?: boolean;
  allowPrivate?: boolean;
  allowedNumbers?: Array<string> | null;
}

export interface WebhookList {
  webhooks: Array<WebhookView>;
}

export interface WebhookTest {
  delivered: boolean;
  status?: number | null;
  error?: string | null;
  milliseconds: number;
}

export interface WebhookView {
  enabled?: boolean;
  url?: string | null;
  events?: Array<string> | null;
  filters?: Record<string, unknown>;
  headers?: Array<string>;
  secret?: string | null;
  webhook_id: string;
  failures?: number;
  paused_until?: string | null;
}

type Values = Record<string, unknown>;

/** `key`: an API key, a user's token or the admin token; none is needed on the server's own computer, where no admin token is set. */
export class Messenger {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url = 'http://127.0.0.1:3000', key?: string) {
    this.#url = url;
    this.#headers = { accept: 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) };
  }

  async #ask(method: string, path: string, query: Values = {}, body?: Values | Uint8Array): Promise<Response> {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    const raw = body instanceof Uint8Array;
    const headers = raw || body === undefined ? this.#headers : { ...this.#headers, 'content-type': 'application/json' };
    const sent = raw ? (body as BodyInit) : body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(`${this.#url}${path}${search.size ? `?${search}` : ''}`, { method, headers, body: sent });
    if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
    return answer;
  }

  /** Make a messenger account's instance and start it; login then logs it in. */
  async create_instance(given: { provider: string; name?: string; user_id?: string; credentials?: Record<string, unknown>; type_instance?: Array<"api" | "mcp">; runtime?: "process" | "docker" | "swarm" | null; agent_id?: string | null; agno_enable?: boolean; stream?: boolean; quiet_hours?: string | null; agent_routes?: Array<AgentRoute> | null; api_webhook_schema?: WebhookConfig | null }): Promise<CreatedInstance> {
    const answer = await this.#ask('POST', `/api/v1/instances`, {}, given);
    return (await answer.json()) as CreatedInstance;
  }

  /** Your instances with provider and status. */
  async list_instances(given: { provider?: string | null; status?: string | null; user_id?: string | null; limit?: number; cursor?: string | null } = {}): Promise<InstanceList> {
    const answer = await this.#ask('GET', `/api/v1/instances`, given);
    return (await answer.json()) as InstanceList;
  }

  /** One instance: status and why, account, what its messenger can do, limits. */
  async get_instance(instance_id: string): Promise<InstanceAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}`);
    return (await answer.json()) as InstanceAnswer;
  }

  /** Change settings of an instance; a restart applies credentials. */
  async update_instance(instance_id: string, given: { name?: string | null; credentials?: Record<string, unknown> | null; type_instance?: Array<"api" | "mcp"> | null; agent_id?: string | null; agno_enable?: boolean | null; stream?: boolean | null; quiet_hours?: string | null; agent_routes?: Array<AgentRoute> | null; api_webhook_schema?: WebhookConfig | null; retention?: Record<string, string> | null } = {}): Promise<UpdatedInstance> {
    const answer = await this.#ask('PATCH', `/api/v1/instances/${encodeURIComponent(instance_id)}`, {}, given);
    return (await answer.json()) as UpdatedInstance;
  }

  /** Remove an instance with its login and secrets; messages stay readable unless purge. */
  async delete_instance(instance_id: string, given: { purge?: boolean } = {}): Promise<void> {
    await this.#ask('DELETE', `/api/v1/instances/${encodeURIComponent(instance_id)}`, given);
  }

  /** Provision and start; force_recreate throws the login away. */
  async process_instance(instance_id: string, given: { force_recreate?: boolean } = {}): Promise<InstanceAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/process`, {}, given);
    return (await answer.json()) as InstanceAnswer;
  }

  /** Start an instance. */
  async start_instance(instance_id: string): Promise<InstanceAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/start`);
    return (await answer.json()) as InstanceAnswer;
  }

  /** Stop an instance; the login stays. */
  async stop_instance(instance_id: string): Promise<InstanceAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/stop`);
    return (await answer.json()) as InstanceAnswer;
  }

  /** Stop and start an instance. */
  async restart_instance(instance_id: string): Promise<InstanceAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/restart`);
    return (await answer.json()) as InstanceAnswer;
  }

  /** End the login on both sides; the instance and its messages stay. */
  async log_out(instance_id: string): Promise<InstanceAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/logout`);
    return (await answer.json()) as InstanceAnswer;
  }

  /** The login QR code as a picture, for a person to scan before expires_at. */
  async get_qr(instance_id: string): Promise<QrAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/qr`);
    return (await answer.json()) as QrAnswer;
  }

  /** Start an account and log it in: shows the code that a person scans, waits, and says what is missing. */
  async login(instance_id: string, given: { wait?: number } = {}): Promise<LoginAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/login`, {}, given);
    return (await answer.json()) as LoginAnswer;
  }

  /** Whether the instance is logged in, as whom, and what it needs. */
  async get_auth_status(instance_id: string): Promise<AuthStatus> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/auth-status`);
    return (await answer.json()) as AuthStatus;
  }

  /** Ask for a code to type on the phone, instead of scanning the QR. */
  async request_pairing_code(instance_id: string, given: { phone: string }): Promise<PairingCode> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/pairing-code`, {}, given);
    return (await answer.json()) as PairingCode;
  }

  /** Who the instance is on its messenger. */
  async get_account(instance_id: string): Promise<AccountAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/account`);
    return (await answer.json()) as AccountAnswer;
  }

  /** Change the account's own name, about text or picture. */
  async update_profile(instance_id: string, given: { name?: string | null; about?: string | null; picture?: string | null } = {}): Promise<void> {
    await this.#ask('PATCH', `/api/v1/instances/${encodeURIComponent(instance_id)}/account`, {}, given);
  }

  /** The address of a page on which a person adds an account: tokens stay out of the chat. */
  async add_account(given: { provider?: string | null; user_id?: string | null } = {}): Promise<PageOfPerson> {
    const answer = await this.#ask('POST', `/api/v1/add-account`, {}, given);
    return (await answer.json()) as PageOfPerson;
  }

  /** The address of a page with the login code, for a person's browser. */
  async get_login_page(instance_id: string): Promise<PageOfPerson> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/login-page`);
    return (await answer.json()) as PageOfPerson;
  }

  /** Every messenger with the settings that an account of it needs, and where each is found. */
  async list_messengers(): Promise<MessengerList> {
    const answer = await this.#ask('GET', `/api/v1/messengers`);
    return (await answer.json()) as MessengerList;
  }

  /** Whose settings these are, by one call to the messenger; nothing is stored. */
  async check_credentials(given: { provider: string; credentials?: Record<string, unknown> }): Promise<CredentialCheck> {
    const answer = await this.#ask('POST', `/api/v1/check-credentials`, {}, given);
    return (await answer.json()) as CredentialCheck;
  }

  /** What waits over all instances: mentions, unanswered and unread chats with their newest messages. */
  async catch_up(given: { instance_id?: string | null; days?: number; max_tokens?: number; cursor?: string | null } = {}): Promise<CaughtUp> {
    const answer = await this.#ask('GET', `/api/v1/catch-up`, given);
    return (await answer.json()) as CaughtUp;
  }

  /** Chats, newest activity first. */
  async list_chats(instance_id: string, given: { kind?: "private" | "group" | "channel" | null; unread?: boolean; limit?: number; cursor?: string | null } = {}): Promise<ChatList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats`, given);
    return (await answer.json()) as ChatList;
  }

  /** One chat. */
  async get_chat(instance_id: string, chat_id: string): Promise<ChatAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}`);
    return (await answer.json()) as ChatAnswer;
  }

  /** Archive, pin or mute a chat, mark it read or unread. */
  async update_chat(instance_id: string, chat_id: string, given: { archived?: boolean | null; pinned?: boolean | null; muted?: boolean | null; muted_until?: string | null; unread?: boolean | null } = {}): Promise<ChatAnswer> {
    const answer = await this.#ask('PATCH', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}`, {}, given);
    return (await answer.json()) as ChatAnswer;
  }

  /** Messages of a chat, newest first; long texts are cut, get_message has them whole. */
  async get_messages(instance_id: string, chat_id: string, given: { since?: string | null; until?: string | null; around?: string | null; thread_id?: string | null; limit?: number; max_tokens?: number | null; cursor?: string | null } = {}): Promise<MessageList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/messages/${encodeURIComponent(chat_id)}`, given);
    return (await answer.json()) as MessageList;
  }

  /** Newest messages of all chats. */
  async get_recent_messages(instance_id: string, given: { limit?: number; cursor?: string | null } = {}): Promise<MessageList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/recent-messages`, given);
    return (await answer.json()) as MessageList;
  }

  /** One message whole, with delivery status. */
  async get_message(instance_id: string, message_id: string, given: { offset?: number; max_tokens?: number | null; raw?: boolean } = {}): Promise<MessageAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}`, given);
    return (await answer.json()) as MessageAnswer;
  }

  /** Change the text of a message you sent. */
  async edit_message(instance_id: string, message_id: string, given: { message: string; format?: TextFormat }): Promise<void> {
    await this.#ask('PATCH', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}`, {}, given);
  }

  /** Delete a message for everyone. */
  async delete_message(instance_id: string, message_id: string): Promise<void> {
    await this.#ask('DELETE', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}`);
  }

  /** Search messages of all accounts or one: any script, parts of addresses and numbers, newest first. */
  async search_messages(given: { instance_id?: string | null; query?: string; chat_id?: string | null; sender?: string | null; since?: string | null; until?: string | null; kind?: "text" | "image" | "video" | "audio" | "voice" | "document" | "sticker" | "location" | "poll" | "contact" | null; has_media?: boolean; direction?: "in" | "out" | null; context?: number; limit?: number; max_tokens?: number | null; cursor?: string | null } = {}): Promise<Hits> {
    const answer = await this.#ask('GET', `/api/v1/search`, given);
    return (await answer.json()) as Hits;
  }

  /** Search on the messenger itself, which also knows what was never stored here. */
  async search_platform(instance_id: string, given: { query: string; chat_id?: string | null; limit?: number }): Promise<PlatformHits> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/platform-search`, given);
    return (await answer.json()) as PlatformHits;
  }

  /** People the account knows, or those of a group with its admins. */
  async list_contacts(instance_id: string, given: { query?: string | null; group_id?: string | null; limit?: number; cursor?: string | null } = {}): Promise<ContactList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/contacts`, given);
    return (await answer.json()) as ContactList;
  }

  /** Contacts by part of a name, user name or phone. */
  async search_contacts(instance_id: string, given: { query: string; limit?: number; cursor?: string | null }): Promise<ContactList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/contacts/search`, given);
    return (await answer.json()) as ContactList;
  }

  /** Look at a message's file: a picture as a picture, a document as text. */
  async get_media(instance_id: string, message_id: string, given: { index?: number; offset?: number; max_tokens?: number | null } = {}): Promise<ShownMedia> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/media`, given);
    return (await answer.json()) as ShownMedia;
  }

  /** Save a message's file to the media folder; the path is answered. */
  async download_media(instance_id: string, message_id: string, given: { index?: number; inline?: boolean } = {}): Promise<Downloaded> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/download`, {}, given);
    return (await answer.json()) as Downloaded;
  }

  /** Wait for new messages of all accounts or one. Pass the answered cursor next time: nothing is missed or repeated. */
  async wait_for_messages(given: { instance_id?: string | null; cursor?: string | null; chat_id?: string | null; also?: Array<"edits" | "votes" | "transcripts">; timeout?: number; limit?: number } = {}): Promise<NewMessages> {
    const answer = await this.#ask('GET', `/api/v1/wait`, given);
    return (await answer.json()) as NewMessages;
  }

  /** Wait for the answer to a message you sent. */
  async wait_for_reply(instance_id: string, message_id: string, given: { timeout?: number; settle?: number; sender?: string | null; reactions?: boolean; limit?: number } = {}): Promise<Replies> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/replies`, given);
    return (await answer.json()) as Replies;
  }

  /** Send a text. */
  async send_message(instance_id: string, given: { to: string; message: string; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; format?: TextFormat; split?: boolean; wait?: number }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Send files with an optional caption. */
  async send_media(instance_id: string, given: { to: string; source: string; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; caption?: string; format?: TextFormat; kind?: MediaKind | null; name?: string | null; mime?: string | null; more?: Array<string> }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/media`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Send a text of its own to each of several chats; each has its own result. */
  async send_many(instance_id: string, given: { messages: Array<OneOfMany>; format?: TextFormat; idempotency_key?: string | null }): Promise<SentMany> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/many`, {}, given);
    return (await answer.json()) as SentMany;
  }

  /** Send a poll. */
  async send_poll(instance_id: string, given: { to: string; question: string; options: Array<string>; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; multiple?: boolean }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/poll`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Send a place. */
  async send_location(instance_id: string, given: { to: string; latitude: number; longitude: number; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; name?: string | null }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/location`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Send a contact card. */
  async send_contact(instance_id: string, given: { to: string; name: string; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; contact_id?: string; phone?: string | null }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/contact`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Send a text with choices to tap. */
  async send_choices(instance_id: string, given: { to: string; message: string; choices: Array<Choice>; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; format?: TextFormat }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/choices`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Send a template that the platform has approved. */
  async send_template(instance_id: string, given: { to: string; template: string; language: string; reply_to?: string | null; thread_id?: string | null; idempotency_key?: string | null; send_at?: string | null; silent?: boolean; repeat?: boolean; mass_mentions?: boolean; extra?: Record<string, unknown>; parameters?: Array<string>; named?: Record<string, string>; header?: string | null; header_source?: string | null; buttons?: Array<TemplateButton> }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/send/template`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Templates that the platform has approved. */
  async list_templates(instance_id: string): Promise<TemplateList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/templates`);
    return (await answer.json()) as TemplateList;
  }

  /** How many chats with strangers may be opened, and how fast sends go out, where a messenger needs such caution. */
  async get_sending_budget(instance_id: string): Promise<SendingBudgetAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/sending-budget`);
    return (await answer.json()) as SendingBudgetAnswer;
  }

  /** Pass a message on to another chat. */
  async forward_message(instance_id: string, message_id: string, given: { to: string; idempotency_key?: string | null }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/forward`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** Messages and reminders that wait for their time. */
  async list_scheduled(given: { instance_id?: string | null; ended?: boolean; limit?: number; cursor?: string | null } = {}): Promise<ScheduledList> {
    const answer = await this.#ask('GET', `/api/v1/scheduled`, given);
    return (await answer.json()) as ScheduledList;
  }

  /** Take back a message that is scheduled or queued, or a reminder. */
  async cancel_send(instance_id: string, message_id: string): Promise<Cancelled> {
    const answer = await this.#ask('DELETE', `/api/v1/instances/${encodeURIComponent(instance_id)}/scheduled/${encodeURIComponent(message_id)}`);
    return (await answer.json()) as Cancelled;
  }

  /** Remind yourself at a time: it comes to wait_for_messages and the webhook. */
  async remind_me(instance_id: string, given: { text: string; at: string }): Promise<ScheduledAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/reminders`, {}, given);
    return (await answer.json()) as ScheduledAnswer;
  }

  /** Whether a send would be accepted now, and what to do instead. */
  async check_send(instance_id: string, given: { to: string; message?: string; format?: TextFormat }): Promise<SendCheck> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/check-send`, {}, given);
    return (await answer.json()) as SendCheck;
  }

  /** Set or take back your reaction to a message. */
  async react(instance_id: string, message_id: string, given: { emoji?: string | null } = {}): Promise<void> {
    await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/react`, {}, given);
  }

  /** Mark a chat as read. */
  async mark_read(instance_id: string, chat_id: string): Promise<void> {
    await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/read`);
  }

  /** Show or end the typing sign. */
  async set_typing(instance_id: string, chat_id: string, given: { typing?: boolean } = {}): Promise<void> {
    await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/typing`, {}, given);
  }

  /** Pin a message in its chat, or unpin it. */
  async pin_message(instance_id: string, message_id: string, given: { pinned?: boolean } = {}): Promise<void> {
    await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/pin`, {}, given);
  }

  /** Star a message for yourself, or unstar it. */
  async star_message(instance_id: string, message_id: string, given: { starred?: boolean } = {}): Promise<void> {
    await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/message/${encodeURIComponent(message_id)}/star`, {}, given);
  }

  /** Keep a name for a person or chat, which to takes from then on. */
  async remember_contact(instance_id: string, name: string, given: { contact_id?: string | null } = {}): Promise<Remembered> {
    const answer = await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/contact-names/${encodeURIComponent(name)}`, {}, given);
    return (await answer.json()) as Remembered;
  }

  /** Whether a phone number is on the messenger; asked sparingly, as many questions get accounts blocked. */
  async check_number(instance_id: string, given: { phone: string }): Promise<NumberCheck> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/check-number`, {}, given);
    return (await answer.json()) as NumberCheck;
  }

  /** Block a person, or unblock. */
  async block_contact(instance_id: string, contact_id: string, given: { blocked?: boolean } = {}): Promise<void> {
    await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/contacts/${encodeURIComponent(contact_id)}/block`, {}, given);
  }

  /** People that are blocked. */
  async list_blocked(instance_id: string): Promise<BlockList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/contacts/blocked`);
    return (await answer.json()) as BlockList;
  }

  /** Show a text to all contacts for a day. */
  async post_story(instance_id: string, given: { message: string }): Promise<PostedStory> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/stories`, {}, given);
    return (await answer.json()) as PostedStory;
  }

  /** Whether the instance's own agent answers in a chat. */
  async get_chat_agent(instance_id: string, chat_id: string): Promise<ChatAgent> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/agent`);
    return (await answer.json()) as ChatAgent;
  }

  /** Hand a chat to a person, pause the instance's own agent there, or give it back. */
  async set_chat_agent(instance_id: string, chat_id: string, given: { mode: "agent" | "human" | "paused"; minutes?: number | null }): Promise<ChatAgent> {
    const answer = await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/agent`, {}, given);
    return (await answer.json()) as ChatAgent;
  }

  /** Take a conversation from another application of the account, or give it away. */
  async set_thread_control(instance_id: string, chat_id: string, given: { action: ControlAction; app_id?: string | null; note?: string | null }): Promise<void> {
    await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/control`, {}, given);
  }

  /** Groups with their participants. */
  async list_groups(instance_id: string): Promise<GroupList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups`);
    return (await answer.json()) as GroupList;
  }

  /** Make a group. */
  async create_group(instance_id: string, given: { name: string; participants: Array<string> }): Promise<GroupChanged> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups`, {}, given);
    return (await answer.json()) as GroupChanged;
  }

  /** One group with its people and who administrates it. */
  async get_group(instance_id: string, group_id: string): Promise<GroupAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}`);
    return (await answer.json()) as GroupAnswer;
  }

  /** Change a group's name, description, picture or rights. */
  async update_group(instance_id: string, group_id: string, given: { name?: string | null; description?: string | null; picture?: string | null; only_admins_write?: boolean | null; only_admins_edit?: boolean | null; only_admins_add?: boolean | null } = {}): Promise<OneGroup> {
    const answer = await this.#ask('PATCH', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}`, {}, given);
    return (await answer.json()) as OneGroup;
  }

  /** Leave a group. */
  async leave_group(instance_id: string, group_id: string): Promise<void> {
    await this.#ask('DELETE', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}`);
  }

  /** Add people to a group; each one's result is answered. */
  async add_participants(instance_id: string, group_id: string, given: { participants: Array<string> }): Promise<GroupChanged> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/participants`, {}, given);
    return (await answer.json()) as GroupChanged;
  }

  /** Remove a person from a group. */
  async remove_participant(instance_id: string, group_id: string, participant: string): Promise<GroupChanged> {
    const answer = await this.#ask('DELETE', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/participants/${encodeURIComponent(participant)}`);
    return (await answer.json()) as GroupChanged;
  }

  /** Make people administrators of a group, or members again. */
  async set_group_admin(instance_id: string, group_id: string, given: { participants: Array<string>; admin?: boolean }): Promise<GroupChanged> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/admins`, {}, given);
    return (await answer.json()) as GroupChanged;
  }

  /** The link through which people join a group. */
  async get_invite_link(instance_id: string, group_id: string): Promise<InviteLink> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/invite-link`);
    return (await answer.json()) as InviteLink;
  }

  /** Make a group's invite link void and get a new one. */
  async reset_invite_link(instance_id: string, group_id: string): Promise<InviteLink> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/invite-link/reset`);
    return (await answer.json()) as InviteLink;
  }

  /** Join a group by its invite link. */
  async join_group(instance_id: string, given: { invite_link: string }): Promise<OneGroup> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/join`, {}, given);
    return (await answer.json()) as OneGroup;
  }

  /** People who ask to join a group. */
  async list_join_requests(instance_id: string, group_id: string): Promise<JoinRequestList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/join-requests`);
    return (await answer.json()) as JoinRequestList;
  }

  /** Admit people who ask to join a group, or turn them away. */
  async answer_join_requests(instance_id: string, group_id: string, given: { participants: Array<string>; admit: boolean }): Promise<JoinRequestsAnswered> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/join-requests`, {}, given);
    return (await answer.json()) as JoinRequestsAnswered;
  }

  /** Send a text to a group. */
  async send_to_group(instance_id: string, group_id: string, given: { message: string; idempotency_key?: string | null }): Promise<SendAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/groups/${encodeURIComponent(group_id)}/send`, {}, given);
    return (await answer.json()) as SendAnswer;
  }

  /** People who are known on several messengers, confirmed and proposed. */
  async list_people(given: { limit?: number; cursor?: string | null } = {}): Promise<PersonList> {
    const answer = await this.#ask('GET', `/api/v1/people`, given);
    return (await answer.json()) as PersonList;
  }

  /** Propose that contacts are one person; it counts when a person has confirmed it. */
  async propose_link(given: { contacts: Array<ContactOf>; person_id?: string | null; name?: string }): Promise<Person> {
    const answer = await this.#ask('POST', `/api/v1/people`, {}, given);
    return (await answer.json()) as Person;
  }

  /** Contacts on different messengers that have one phone number. */
  async suggest_links(given: { limit?: number } = {}): Promise<Suggestions> {
    const answer = await this.#ask('GET', `/api/v1/people/suggestions`, given);
    return (await answer.json()) as Suggestions;
  }

  /** One person with their contacts on all messengers. */
  async get_person(person_id: string): Promise<Person> {
    const answer = await this.#ask('GET', `/api/v1/people/${encodeURIComponent(person_id)}`);
    return (await answer.json()) as Person;
  }

  /** Separate a contact, or all, from a person. */
  async unlink(person_id: string, given: { instance_id?: string | null; contact_id?: string | null } = {}): Promise<Unlinked> {
    const answer = await this.#ask('DELETE', `/api/v1/people/${encodeURIComponent(person_id)}`, given);
    return (await answer.json()) as Unlinked;
  }

  /** Say that the proposed contacts are this person. */
  async confirm_link(person_id: string): Promise<Person> {
    const answer = await this.#ask('POST', `/api/v1/people/${encodeURIComponent(person_id)}/confirm`);
    return (await answer.json()) as Person;
  }

  /** Wait until the owner has decided about a call that needed approval. */
  async wait_for_approval(approval_id: string, given: { timeout?: number } = {}): Promise<ApprovalAnswer> {
    const answer = await this.#ask('GET', `/api/v1/approvals/${encodeURIComponent(approval_id)}/wait`, given);
    return (await answer.json()) as ApprovalAnswer;
  }

  /** Calls, drafts and questions that wait for the owner. */
  async list_approvals(given: { instance_id?: string | null; pending?: boolean; limit?: number; cursor?: string | null } = {}): Promise<ApprovalList> {
    const answer = await this.#ask('GET', `/api/v1/approvals`, given);
    return (await answer.json()) as ApprovalList;
  }

  /** Take back a call that waits for the owner. */
  async cancel_approval(approval_id: string): Promise<ApprovalAnswer> {
    const answer = await this.#ask('DELETE', `/api/v1/approvals/${encodeURIComponent(approval_id)}`);
    return (await answer.json()) as ApprovalAnswer;
  }

  /** Approve a call, as it is or with another text, and carry it out; or answer a question. */
  async approve(approval_id: string, given: { message?: string | null; answer?: string | null; always?: boolean } = {}): Promise<ApprovalAnswer> {
    const answer = await this.#ask('POST', `/api/v1/approvals/${encodeURIComponent(approval_id)}/approve`, {}, given);
    return (await answer.json()) as ApprovalAnswer;
  }

  /** Deny a call: it is not carried out. */
  async deny(approval_id: string, given: { reason?: string | null } = {}): Promise<ApprovalAnswer> {
    const answer = await this.#ask('POST', `/api/v1/approvals/${encodeURIComponent(approval_id)}/deny`, {}, given);
    return (await answer.json()) as ApprovalAnswer;
  }

  /** The address of a page on which a person decides, once. */
  async get_approval_link(approval_id: string): Promise<ApprovalLink> {
    const answer = await this.#ask('POST', `/api/v1/approvals/${encodeURIComponent(approval_id)}/link`);
    return (await answer.json()) as ApprovalLink;
  }

  /** Put a message before the owner, who may change it, and sends or denies it. */
  async draft_message(instance_id: string, given: { to: string; message: string; format?: TextFormat; reason?: string }): Promise<ApprovalAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/drafts`, {}, given);
    return (await answer.json()) as ApprovalAnswer;
  }

  /** Ask the owner a question; wait_for_approval gives the answer. */
  async ask_owner(instance_id: string, given: { question: string }): Promise<ApprovalAnswer> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/questions`, {}, given);
    return (await answer.json()) as ApprovalAnswer;
  }

  /** Whether policy would allow a call, ask the owner or deny it; nothing is done. */
  async check_call(given: { operation: string; arguments?: Record<string, unknown> }): Promise<CallCheck> {
    const answer = await this.#ask('POST', `/api/v1/check-call`, {}, given);
    return (await answer.json()) as CallCheck;
  }

  /** What agents may do with an instance, and what needs the owner's word. */
  async get_policy(instance_id: string): Promise<PolicyAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/policy`);
    return (await answer.json()) as PolicyAnswer;
  }

  /** Change what agents may do: by a preset, or part by part. */
  async set_policy(instance_id: string, given: { preset?: "standard" | "personal assistant" | "customer service" | "read only" | "no limits" | null; read_only?: boolean | null; outbound?: Record<string, unknown> | null; inbound?: Record<string, unknown> | null; taint?: "strict" | "answers" | "off" | null; taint_minutes?: number | null; approval_minutes?: number | null; owner?: OwnerChat | null; binds_owner?: boolean | null; client_decides?: boolean | null; trust?: Array<string>; distrust?: Array<string>; pair?: Array<string>; unpair?: Array<string> } = {}): Promise<PolicyAnswer> {
    const answer = await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/policy`, {}, given);
    return (await answer.json()) as PolicyAnswer;
  }

  /** What is kept in memory of an instance. */
  async get_instance_memory(instance_id: string): Promise<MemoryAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/memory`);
    return (await answer.json()) as MemoryAnswer;
  }

  /** Totals of the memory service. */
  async get_memory_stats(): Promise<MemoryStats> {
    const answer = await this.#ask('GET', `/api/v1/instances/memory/stats`);
    return (await answer.json()) as MemoryStats;
  }

  /** Past states, newest first. */
  async get_status_history(instance_id: string, given: { limit?: number } = {}): Promise<StatusHistory> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/status-history`, given);
    return (await answer.json()) as StatusHistory;
  }

  /** Past QR codes and what became of them. */
  async get_qr_history(instance_id: string, given: { limit?: number } = {}): Promise<QrHistory> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/qr-history`, given);
    return (await answer.json()) as QrHistory;
  }

  /** Messages in and out by hour and day. */
  async get_activity_stats(instance_id: string): Promise<ActivityStats> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/activity-stats`);
    return (await answer.json()) as ActivityStats;
  }

  /** Errors of an instance, newest first. */
  async get_errors(instance_id: string, given: { limit?: number } = {}): Promise<ErrorList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/errors`, given);
    return (await answer.json()) as ErrorList;
  }

  /** Forget the errors of an instance. */
  async clear_errors(instance_id: string): Promise<Cleared> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/clear-errors`);
    return (await answer.json()) as Cleared;
  }

  /** Whether an instance is connected, and what is wrong. */
  async get_instance_health(instance_id: string): Promise<InstanceHealth> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/health`);
    return (await answer.json()) as InstanceHealth;
  }

  /** What became of events that were to be posted to the webhook, newest first. */
  async list_deliveries(instance_id: string, given: { status?: "pending" | "done" | "dead" | null; webhook_id?: string | null; limit?: number; cursor?: string | null } = {}): Promise<DeliveryList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/deliveries`, given);
    return (await answer.json()) as DeliveryList;
  }

  /** Deliver an event again. */
  async retry_delivery(instance_id: string, delivery_id: string): Promise<Retried> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/deliveries/${encodeURIComponent(delivery_id)}/retry`);
    return (await answer.json()) as Retried;
  }

  /** Deliver all events again that were given up. */
  async retry_dead_deliveries(instance_id: string): Promise<Retried> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/deliveries/retry-dead`);
    return (await answer.json()) as Retried;
  }

  /** Deliver the events after a cursor to the webhook again. */
  async replay_events(instance_id: string, given: { after: string; webhook_id?: string; limit?: number }): Promise<Replayed> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhook/replay`, {}, given);
    return (await answer.json()) as Replayed;
  }

  /** Post a test event to the webhook, and say what it answered. */
  async test_webhook(instance_id: string, given: { webhook_id?: string } = {}): Promise<WebhookTest> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhook/test`, {}, given);
    return (await answer.json()) as WebhookTest;
  }

  /** Processor, memory and disk of the machine. */
  async get_resources(): Promise<Resources> {
    const answer = await this.#ask('GET', `/api/v1/resources`);
    return (await answer.json()) as Resources;
  }

  /** Processor and memory in percent. */
  async get_performance(): Promise<Performance> {
    const answer = await this.#ask('GET', `/api/v1/resources/performance`);
    return (await answer.json()) as Performance;
  }

  /** Ports of instances' own addresses. */
  async get_ports(): Promise<Ports> {
    const answer = await this.#ask('GET', `/api/v1/resources/ports`);
    return (await answer.json()) as Ports;
  }

  /** Look again which ports are free. */
  async clear_port_cache(): Promise<void> {
    await this.#ask('POST', `/api/v1/resources/ports/clear-cache`);
  }

  /** Messengers in use, and those available. */
  async get_active_providers(): Promise<ActiveProviders> {
    const answer = await this.#ask('GET', `/api/v1/multi-provider/active-providers`);
    return (await answer.json()) as ActiveProviders;
  }

  /** Instances, messages and errors by messenger. */
  async get_provider_stats(): Promise<MultiProviderStats> {
    const answer = await this.#ask('GET', `/api/v1/multi-provider/stats`);
    return (await answer.json()) as MultiProviderStats;
  }

  /** Removed instances whose messages are kept; DELETE with purge=true removes these too. */
  async list_removed_instances(given: { limit?: number; cursor?: string | null } = {}): Promise<RemovedInstances> {
    const answer = await this.#ask('GET', `/api/v1/removed-instances`, given);
    return (await answer.json()) as RemovedInstances;
  }

  /** The event log from a cursor on. */
  async get_events(given: { after?: string; instance_id?: string | null; limit?: number } = {}): Promise<EventList> {
    const answer = await this.#ask('GET', `/api/v1/events`, given);
    return (await answer.json()) as EventList;
  }

  /** Remove a chat with its messages and files for good; the messenger's history does not bring them back. */
  async erase_chat(instance_id: string, chat_id: string): Promise<Erasure> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/erase`);
    return (await answer.json()) as Erasure;
  }

  /** Remove a contact, the private chats with them and what they wrote in groups, for good. */
  async erase_contact(instance_id: string, contact_id: string): Promise<Erasure> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/contacts/${encodeURIComponent(contact_id)}/erase`);
    return (await answer.json()) as Erasure;
  }

  /** Remove a person on all messengers where their contact was confirmed, for good. */
  async erase_person(person_id: string): Promise<Erasure> {
    const answer = await this.#ask('POST', `/api/v1/people/${encodeURIComponent(person_id)}/erase`);
    return (await answer.json()) as Erasure;
  }

  /** Delete a user's instances with all that is stored of them, and the user's tokens and people. */
  async erase_user(user_id: string): Promise<Erasure> {
    const answer = await this.#ask('POST', `/api/v1/users/${encodeURIComponent(user_id)}/erase`);
    return (await answer.json()) as Erasure;
  }

  /** The instance's API key; that it was shown is recorded. */
  async get_current_api_key(instance_id: string): Promise<ApiKey> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/current-api-key`);
    return (await answer.json()) as ApiKey;
  }

  /** A new API key; the old one ends. */
  async rotate_api_key(instance_id: string): Promise<ApiKey> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/api-key/rotate`);
    return (await answer.json()) as ApiKey;
  }

  /** Past API keys, never the keys themselves. */
  async get_api_key_history(instance_id: string, given: { limit?: number } = {}): Promise<KeyHistory> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/api-key-history`, given);
    return (await answer.json()) as KeyHistory;
  }

  /** Which secrets are set, masked; reveal shows them to the owner and is recorded. */
  async get_credentials(instance_id: string, given: { reveal?: boolean } = {}): Promise<CredentialList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/credentials`, given);
    return (await answer.json()) as CredentialList;
  }

  /** Change secrets; a restart applies them. */
  async set_credentials(instance_id: string, given: { credentials: Record<string, unknown> }): Promise<CredentialList> {
    const answer = await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/credentials`, {}, given);
    return (await answer.json()) as CredentialList;
  }

  /** Where events of the instance are posted to. */
  async get_webhook(instance_id: string): Promise<WebhookAnswer> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhook`);
    return (await answer.json()) as WebhookAnswer;
  }

  /** Set where events of the instance are posted to. */
  async set_webhook(instance_id: string, given: { enabled: boolean; url?: string | null; filters?: WebhookFilters; events?: Array<string> | null; only_waking?: boolean | null; secret?: string | null; headers?: Record<string, string> | null }): Promise<WebhookAnswer> {
    const answer = await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhook`, {}, given);
    return (await answer.json()) as WebhookAnswer;
  }

  /** All webhooks of the instance, and which of them fail. */
  async list_webhooks(instance_id: string): Promise<WebhookList> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhooks`);
    return (await answer.json()) as WebhookList;
  }

  /** Add a webhook beside those that are there, with its own events, secret, order and retries. */
  async create_webhook(instance_id: string, given: { enabled?: boolean; url?: string | null; filters?: WebhookFilters; events?: Array<string> | null; only_waking?: boolean | null; secret?: string | null; headers?: Record<string, string> | null } = {}): Promise<WebhookView> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhooks`, {}, given);
    return (await answer.json()) as WebhookView;
  }

  /** Set one of the instance's webhooks. */
  async update_webhook(instance_id: string, webhook_id: string, given: { enabled: boolean; url?: string | null; filters?: WebhookFilters; events?: Array<string> | null; only_waking?: boolean | null; secret?: string | null; headers?: Record<string, string> | null }): Promise<WebhookView> {
    const answer = await this.#ask('PUT', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhooks/${encodeURIComponent(webhook_id)}`, {}, given);
    return (await answer.json()) as WebhookView;
  }

  /** Remove one of the instance's webhooks with what waits for it. */
  async delete_webhook(instance_id: string, webhook_id: string): Promise<void> {
    await this.#ask('DELETE', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhooks/${encodeURIComponent(webhook_id)}`);
  }

  /** A new secret for the webhook; for a day events are signed with both. */
  async rotate_webhook_secret(instance_id: string, given: { webhook_id?: string } = {}): Promise<NewSecret> {
    const answer = await this.#ask('POST', `/api/v1/instances/${encodeURIComponent(instance_id)}/webhook/rotate-secret`, {}, given);
    return (await answer.json()) as NewSecret;
  }

  /** A token that reaches one user's instances only. */
  async create_user_token(given: { user_id?: string | null } = {}): Promise<UserToken> {
    const answer = await this.#ask('POST', `/api/v1/tokens`, {}, given);
    return (await answer.json()) as UserToken;
  }

  /** End all tokens of a user. */
  async revoke_user_tokens(user_id: string): Promise<Cleared> {
    const answer = await this.#ask('DELETE', `/api/v1/tokens/${encodeURIComponent(user_id)}`);
    return (await answer.json()) as Cleared;
  }

  /** A key that may do only some things, at some instances, for some time. */
  async create_key(given: { name: string; scopes: Array<Scope>; instance_ids?: Array<string> | null; expires_in_days?: number | null; user_id?: string | null; policy?: Record<string, unknown> | null }): Promise<CreatedKey> {
    const answer = await this.#ask('POST', `/api/v1/keys`, {}, given);
    return (await answer.json()) as CreatedKey;
  }

  /** Keys and tokens, with what each may do and when it was used; never the keys themselves. */
  async list_keys(given: { user_id?: string | null } = {}): Promise<KeyList> {
    const answer = await this.#ask('GET', `/api/v1/keys`, given);
    return (await answer.json()) as KeyList;
  }

  /** How much a user has and may have: instances, memory, media, subscriptions, waits. */
  async get_quotas(given: { user_id?: string | null } = {}): Promise<QuotaList> {
    const answer = await this.#ask('GET', `/api/v1/quotas`, given);
    return (await answer.json()) as QuotaList;
  }

  /** How much a user uses: instances, messages by day, deliveries, keys, and the limits. */
  async get_usage(given: { user_id?: string | null } = {}): Promise<Usage> {
    const answer = await this.#ask('GET', `/api/v1/usage`, given);
    return (await answer.json()) as Usage;
  }

  /** Look at every part of the server and what it needs, and say what to do. */
  async examine_server(): Promise<Examination> {
    const answer = await this.#ask('GET', `/api/v1/doctor`);
    return (await answer.json()) as Examination;
  }

  /** Set how much a user may have. */
  async set_quotas(user_id: string, given: { limits: Record<string, string> }): Promise<QuotaList> {
    const answer = await this.#ask('PUT', `/api/v1/users/${encodeURIComponent(user_id)}/quotas`, {}, given);
    return (await answer.json()) as QuotaList;
  }

  /** The audit log: who did what to whom, and which rule or person let them or did not. */
  async list_audit(given: { instance_id?: string | null; operation?: string | null; outcome?: "allowed" | "failed" | "denied" | "asked" | "approved" | "answered" | "cancelled" | "done" | null; oldest_first?: boolean; limit?: number; cursor?: string | null } = {}): Promise<AuditList> {
    const answer = await this.#ask('GET', `/api/v1/audit`, given);
    return (await answer.json()) as AuditList;
  }

  /** Whether rows of the audit log were changed, removed or added by somebody else. */
  async verify_audit(given: { head?: string | null } = {}): Promise<AuditCheck> {
    const answer = await this.#ask('GET', `/api/v1/audit/verify`, given);
    return (await answer.json()) as AuditCheck;
  }

  /** End one key or token; what it holds open ends too. */
  async revoke_key(key_id: string): Promise<void> {
    await this.#ask('DELETE', `/api/v1/keys/${encodeURIComponent(key_id)}`);
  }

  /** Newest log lines of an instance. */
  async get_logs(instance_id: string, given: { tail?: number; follow?: boolean } = {}): Promise<LogLines> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/logs`, given);
    return (await answer.json()) as LogLines;
  }

  /** A message's file, as it is. */
  async get_media_file(instance_id: string, message_id: string, given: { index?: number } = {}): Promise<Uint8Array> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/messages/${encodeURIComponent(message_id)}/media`, given);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** All that is stored of an instance, without secrets, as one file that another installation can import. */
  async export_instance(instance_id: string): Promise<Uint8Array> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/export`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** A chat with its messages and files, as one file. */
  async export_chat(instance_id: string, chat_id: string): Promise<Uint8Array> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/chats/${encodeURIComponent(chat_id)}/export`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** A contact, the private chats with them and what they wrote in groups, as one file. */
  async export_contact(instance_id: string, contact_id: string): Promise<Uint8Array> {
    const answer = await this.#ask('GET', `/api/v1/instances/${encodeURIComponent(instance_id)}/contacts/${encodeURIComponent(contact_id)}/export`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** A person on all messengers where their contact was confirmed, as one file. */
  async export_person(person_id: string): Promise<Uint8Array> {
    const answer = await this.#ask('GET', `/api/v1/people/${encodeURIComponent(person_id)}/export`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** All instances of a user and the people that they know, as one file. */
  async export_user(user_id: string): Promise<Uint8Array> {
    const answer = await this.#ask('GET', `/api/v1/users/${encodeURIComponent(user_id)}/export`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** Take the file of an export, sent as the body; instances come stopped, and what is here already stays as it is. */
  async import_data(content: Uint8Array): Promise<Imported> {
    const answer = await this.#ask('POST', `/api/v1/import`, {}, content);
    return (await answer.json()) as Imported;
  }

  /** Whether this process can work. */
  async health(): Promise<Health> {
    const answer = await this.#ask('GET', `/health`);
    return (await answer.json()) as Health;
  }

}
