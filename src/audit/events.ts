// The closed set of things that are worth a record, and who did them. Writing is record.ts, reading queries.ts.

/** What happened, with the facts that a reader needs later. Never a secret. */
export type AuditEvent =
  | { action: 'token.provisioned'; tokenId: string; subject: string; detail: Record<string, unknown> }
  | { action: 'token.updated'; tokenId: string; subject: string; detail: Record<string, unknown> }
  | { action: 'token.revoked'; tokenId: string; subject: string; detail: Record<string, unknown> }
  /** Versions, hints and ends; and, later, that the first use of the new secret ended the old one. */
  | { action: 'token.rotated'; tokenId: string; subject: string; detail: Record<string, unknown> }
  | { action: 'token.secret_ended'; tokenId: string; subject: string; detail: { secretVersion: number } }
  | { action: 'token.disabled'; tokenId: string; subject: string; detail: { name: string } }
  | { action: 'token.enabled'; tokenId: string; subject: string; detail: { name: string } }
  /** Checks of a known token that were refused, counted and written now and then, off the request path. */
  | { action: 'token.refused'; tokenId: string; subject: string; detail: { code: string; count: number } }
  | {
      action: 'subject.updated'
      subject: string
      detail: { disabled: boolean; scopeCap: readonly string[] | null }
    }
  | { action: 'service.registered'; serviceId: string; detail: Record<string, unknown> }
  | { action: 'service.updated'; serviceId: string; detail: Record<string, unknown> }
  | { action: 'service.removed'; serviceId: string; detail: Record<string, unknown> }
  | { action: 'service.credential_added'; serviceId: string; detail: { credentialId: string } }
  | { action: 'service.credential_removed'; serviceId: string; detail: { credentialId: string } }
  | { action: 'service.scopes_declared'; serviceId: string; detail: { scopes: readonly string[] } }
  | {
      action: 'service.openapi_published'
      serviceId: string
      detail: { digest: string; version: string; added: number; removed: number; changed: number }
    }
  | {
      action: 'trust_policy.created'
      subject: string
      detail: Record<string, unknown> & { policyId: string }
    }
  | {
      action: 'trust_policy.updated'
      subject: string
      detail: Record<string, unknown> & { policyId: string }
    }
  | {
      action: 'trust_policy.removed'
      subject: string
      detail: Record<string, unknown> & { policyId: string }
    }
  /** A CI provider's token was presented, of an issuer that is trusted with something, and not exchanged. */
  | { action: 'exchange.refused'; detail: { reason: string; issuer: string; sub: string | null } }

export const auditActions = [
  'token.provisioned',
  'token.updated',
  'token.revoked',
  'token.rotated',
  'token.secret_ended',
  'token.disabled',
  'token.enabled',
  'token.refused',
  'subject.updated',
  'service.registered',
  'service.updated',
  'service.removed',
  'service.credential_added',
  'service.credential_removed',
  'service.scopes_declared',
  'service.openapi_published',
  'trust_policy.created',
  'trust_policy.updated',
  'trust_policy.removed',
  'exchange.refused',
] as const satisfies readonly AuditEvent['action'][]

/** Who did it: a principal's name, and the request it came with. */
export type Actor = {
  readonly name: string
  readonly tokenId: string | null
  readonly requestId: string | null
  readonly clientIp: string | null
}

/** What Latchkey does by itself: at start-up, at bootstrap, in its jobs. */
export const latchkeyItself: Actor = { name: 'latchkey', tokenId: null, requestId: null, clientIp: null }
