// The shape of each table, for Kysely. The tables themselves are made by migrations/.
import type { ColumnType, Generated, JSONColumnType, Kysely, Transaction } from 'kysely'
import type { TokenType } from '../policy/facts.ts'

type Bytes = ColumnType<Uint8Array, Buffer, Buffer>
type Metadata = Record<string, string | number | boolean>
type Conditions = Record<string, string | number | boolean | (string | number | boolean)[]>

export type TokenTable = {
  id: string
  type: TokenType
  name: string
  description: string | null
  subject: string
  team: string | null
  audience: string[]
  scopes: string[]
  ip_ranges: string[]
  metadata: JSONColumnType<Metadata, string, string>
  /** That it came of, be it by another token. */
  trust_policy: string | null
  hint: string
  created_at: Date
  created_by: string
  expire_at: Date | null
  disabled_at: Date | null
  disabled_by: Generated<string | null>
  disabled_by_admin: Generated<boolean>
  revoked_at: Date | null
  revoked_by: string | null
  secret_version: Generated<number>
  first_use_ends: Generated<number | null>
  revision: Generated<number>
}

export type TokenSecretTable = {
  digest: Bytes
  key_id: string
  token_id: string
  version: number
  created_at: Date
  ends_at: Date | null
  ended: Generated<boolean>
}

export type ReplayTable = {
  id: Bytes
  fingerprint: Bytes
  token_id: string
  sealed: Bytes
  expires_at: Date
}

export type TokenUsageTable = {
  token_id: string
  last_used_at: Date
  last_used_ip: string | null
  last_user_agent: string | null
  exercised_scopes: string[]
  use_count: number
}

export type SubjectTable = {
  id: string
  disabled_at: Date | null
  scope_cap: string[] | null
  created_at: Date
}

export type ServiceTable = {
  id: string
  name: string
  description: string | null
  base_url: string | null
  checks_ip: boolean
  created_at: Date
}

export type ServiceSecretTable = {
  id: string
  service_id: string
  phc: string
  hint: string
  created_at: Date
}

export type ScopeGroupTable = {
  service_id: string
  id: string
  title: string
  position: number
}

export type ScopeTable = {
  name: string
  service_id: string
  group_id: string
  title: string
  description: string | null
  risk: 'low' | 'medium' | 'high'
  implies: string[]
  closure: string[]
  max_lifetime_days: number | null
  position: number
}

export type ServiceDocumentTable = {
  service_id: string
  digest: string
  document: string
  published_at: Date
}

export type ServiceGuidanceTable = {
  service_id: string
  presets: JSONColumnType<object[], string, string>
  jobs: JSONColumnType<object[], string, string>
  workflows: JSONColumnType<object[], string, string>
}

export type AuditEventTable = {
  id: string
  at: Date
  action: string
  actor: string
  actor_token_id: string | null
  token_id: string | null
  subject: string | null
  service_id: string | null
  request_id: string | null
  client_ip: string | null
  detail: JSONColumnType<Record<string, unknown>, string, string>
}

export type DigestKeyTable = {
  id: string
  salt: Bytes
  memory_kib: number
  passes: number
  lanes: number
  check_value: Bytes
  created_at: Date
}

export type TrustPolicyTable = {
  id: string
  name: string
  description: string | null
  provider: 'github' | 'gitlab' | 'oidc'
  issuer: string
  audience: string
  conditions: JSONColumnType<Conditions, string, string>
  scopes: string[]
  team: string | null
  services: string[]
  ip_ranges: string[]
  max_lifetime_minutes: number
  subject: string
  maker: string
  maker_token_id: string
  expire_at: Date | null
  revision: Generated<number>
  created_at: Date
  created_by: string
  updated_at: Date
}

export type FederatedUseTable = {
  issuer: string
  jti_hash: Bytes
  until: Date
}

export type Tables = {
  token: TokenTable
  token_secret: TokenSecretTable
  token_usage: TokenUsageTable
  replay: ReplayTable
  subject: SubjectTable
  service: ServiceTable
  service_secret: ServiceSecretTable
  scope_group: ScopeGroupTable
  scope: ScopeTable
  service_document: ServiceDocumentTable
  service_guidance: ServiceGuidanceTable
  trust_policy: TrustPolicyTable
  federated_use: FederatedUseTable
  audit_event: AuditEventTable
  digest_key: DigestKeyTable
}

export type Db = Kysely<Tables>
export type Trx = Transaction<Tables>
