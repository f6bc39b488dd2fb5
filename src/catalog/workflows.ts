// What people come to Latchkey to do, step by step. Endpoints are named by their operationId; `$inputs.…` is what only
// they can know. A runner walks each in test/interop/arazzo.test.ts.

export type Workflow = {
  readonly id: string
  readonly title: string
  readonly scopes: readonly string[]
  readonly steps: readonly {
    readonly id: string
    readonly endpoint: string
    readonly save?: Readonly<Record<string, string>>
    readonly use?: Readonly<Record<string, string>>
  }[]
  readonly success: string
}

export const ownWorkflows: readonly Workflow[] = [
  {
    id: 'protect-a-service',
    title: 'Protect a service with tokens',
    scopes: ['services:admin'],
    steps: [
      {
        id: 'register',
        endpoint: 'registerService',
        use: { id: '$inputs.service', name: '$inputs.service' },
        save: { clientId: '$response.body#/clientId', clientSecret: '$response.body#/clientSecret' },
      },
      {
        id: 'declare',
        endpoint: 'declareScopes',
        use: { id: '$steps.register.outputs.clientId', groups: '$inputs.groups', scopes: '$inputs.scopes' },
      },
      {
        id: 'introspect',
        endpoint: 'introspectToken',
        use: {
          token: '$inputs.token',
          client_id: '$steps.register.outputs.clientId',
          client_secret: '$steps.register.outputs.clientSecret',
        },
      },
    ],
    success: 'introspection answers active for a good token, and {"active":false} for any other',
  },
  {
    id: 'give-a-script-a-token',
    title: 'Give a script the smallest token that does its job',
    scopes: ['tokens:write'],
    steps: [
      { id: 'look', endpoint: 'readCatalog' },
      {
        id: 'provision',
        endpoint: 'provisionToken',
        use: { name: '$inputs.name', scopes: '$inputs.scopes', expiresIn: '$inputs.expiresIn' },
        save: { id: '$response.body#/id', token: '$response.body#/token' },
      },
      {
        id: 'check',
        endpoint: 'readSelf',
        use: { Authorization: 'Bearer {$steps.provision.outputs.token}' },
      },
    ],
    success: 'the script has a token with just the scopes of its endpoints, and an end',
  },
  {
    id: 'end-a-leaked-token',
    title: 'End a token that leaked',
    scopes: ['tokens:write', 'audit:read'],
    steps: [
      {
        id: 'find',
        endpoint: 'listTokens',
        use: { q: '$inputs.hint' },
        save: { id: '$response.body#/0/id' },
      },
      { id: 'revoke', endpoint: 'revokeToken', use: { id: '$steps.find.outputs.id' } },
      { id: 'look', endpoint: 'listAuditEvents', use: { tokenId: '$steps.find.outputs.id' } },
    ],
    success: 'revoke answers 200; from effectiveAt on the token is good nowhere',
  },
]
