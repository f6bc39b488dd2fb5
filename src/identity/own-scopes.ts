// Latchkey's own scopes, declared as any service declares its: it is the first service in its own catalog.

export const ownServiceId = 'latchkey'

export type OwnScope = (typeof ownScopes)[number]['name']

export const ownGroup = { id: 'latchkey', title: 'Latchkey' } as const

const group = ownGroup.id

export const ownScopes = [
  { name: 'tokens:introspect', title: 'Ask whether a token is good', group, risk: 'medium' },
  { name: 'tokens:read', title: 'Read the subject’s own tokens', group, risk: 'low' },
  {
    name: 'tokens:write',
    title: 'Provision, narrow, rotate, pause and revoke the subject’s own tokens',
    group,
    risk: 'high',
    implies: ['tokens:read'],
  },
  { name: 'tokens:rotate-self', title: 'Rotate the very token that calls', group, risk: 'medium' },
  {
    name: 'tokens:admin',
    title: 'Manage the tokens and rights of every subject',
    group,
    risk: 'high',
    // Who hands out scopes must have them, and may rotate anything anyway.
    implies: ['tokens:read', 'tokens:write', 'tokens:rotate-self'],
  },
  {
    name: 'services:admin',
    title: 'Register services and their credentials',
    group,
    risk: 'high',
    implies: ['catalog:publish'],
  },
  { name: 'catalog:publish', title: 'Declare the scopes and routes of one service', group, risk: 'medium' },
  { name: 'audit:read', title: 'Read the audit events', group, risk: 'medium' },
  { name: 'events:admin', title: 'Manage webhook endpoints', group, risk: 'high' },
] as const
