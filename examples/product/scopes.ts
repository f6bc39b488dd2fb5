// What tokens of the product can be allowed, in groups, and which jobs need what: each service declares its own part to
// Latchkey when it starts. Which route needs which scope is not said here, but at the route.

export type Scopes = {
  readonly groups: readonly { readonly id: string; readonly title: string }[]
  readonly scopes: readonly {
    /** `resource:action` */
    readonly name: string
    readonly title: string
    readonly group: string
    readonly risk: 'low' | 'medium' | 'high'
    readonly implies?: readonly string[]
    /** No token that has it lives longer. */
    readonly maxLifetimeDays?: number
  }[]
  /** Offered to people who create a token. */
  readonly presets: readonly {
    readonly id: string
    readonly title: string
    readonly scopes: readonly string[]
    readonly expiresInDays: number
  }[]
  /** In the words of who looks for a scope. */
  readonly jobs: readonly {
    readonly job: string
    readonly scopes: readonly string[]
    readonly workflow?: string
  }[]
  readonly workflows: readonly object[]
}

export const postsScopes: Scopes = {
  groups: [
    { id: 'content', title: 'Content' },
    { id: 'workspace', title: 'Workspace' },
    { id: 'account', title: 'Account' },
  ],
  scopes: [
    { name: 'posts:read', title: 'Read feed and posts', group: 'content', risk: 'low' },
    {
      name: 'posts:write',
      title: 'Create and update posts',
      group: 'content',
      risk: 'medium',
      implies: ['posts:read'],
    },
    { name: 'places:read', title: 'Read places', group: 'content', risk: 'low' },
    { name: 'artifacts:write', title: 'Upload artifacts', group: 'content', risk: 'medium' },
    { name: 'workspaces:run', title: 'Run workspaces', group: 'workspace', risk: 'medium' },
    {
      name: 'workspaces:manage',
      title: 'Set up workspaces',
      group: 'workspace',
      risk: 'high',
      implies: ['workspaces:run'],
    },
    { name: 'notifications:read', title: 'Read notification settings', group: 'account', risk: 'low' },
    {
      name: 'notifications:write',
      title: 'Change notification settings',
      group: 'account',
      risk: 'medium',
      implies: ['notifications:read'],
    },
    { name: 'memberships:manage', title: 'Add and remove members', group: 'account', risk: 'high' },
    { name: 'sharing:manage', title: 'Share with others', group: 'account', risk: 'high' },
    { name: 'webhooks:manage', title: 'Add and delete webhook endpoints', group: 'account', risk: 'high' },
  ],
  presets: [
    {
      id: 'read-only',
      title: 'Read only',
      scopes: ['posts:read', 'places:read', 'notifications:read'],
      expiresInDays: 90,
    },
    { id: 'ci-publish', title: 'CI: publish posts', scopes: ['posts:write'], expiresInDays: 30 },
  ],
  jobs: [
    { job: 'Read feed or post data', scopes: ['posts:read'] },
    { job: 'Create or update posts', scopes: ['posts:write'], workflow: 'publish-post' },
    { job: 'Read places', scopes: ['places:read'] },
    { job: 'Upload artifacts', scopes: ['artifacts:write'] },
    { job: 'Run a workspace', scopes: ['workspaces:run'] },
    { job: 'Set up workspaces', scopes: ['workspaces:manage'] },
    { job: 'Read notification settings', scopes: ['notifications:read'] },
    { job: 'Change notification settings', scopes: ['notifications:write'] },
    { job: 'Add and remove members', scopes: ['memberships:manage'] },
    { job: 'Share with others', scopes: ['sharing:manage'] },
    { job: 'Add and delete webhook endpoints', scopes: ['webhooks:manage'] },
  ],
  workflows: [
    {
      id: 'publish-post',
      title: 'Publish a post from a script',
      scopes: ['posts:write'],
      before: 'Check the token with GET /api/v1/tokens/self of Latchkey.',
      steps: [
        { id: 'create', endpoint: 'createPost', save: { postId: '$response.body#/id' } },
        { id: 'publish', endpoint: 'publishPost', use: { postId: '$steps.create.outputs.postId' } },
      ],
      success: 'state is published',
    },
  ],
}

export const billingScopes: Scopes = {
  groups: [{ id: 'billing', title: 'Billing' }],
  scopes: [
    { name: 'billing:read', title: 'Read invoices', group: 'billing', risk: 'low' },
    { name: 'billing:checkout', title: 'Create checkout links', group: 'billing', risk: 'medium' },
    {
      name: 'billing:manage',
      title: 'Change plan and payment method',
      group: 'billing',
      risk: 'high',
      implies: ['billing:read'],
    },
    {
      name: 'payouts:manage',
      title: 'Start onboarding for payouts, change payouts',
      group: 'billing',
      risk: 'high',
      maxLifetimeDays: 30,
    },
    {
      name: 'transfers:manage',
      title: 'Transfer money',
      group: 'billing',
      risk: 'high',
      maxLifetimeDays: 30,
    },
  ],
  presets: [{ id: 'bookkeeping', title: 'Bookkeeping', scopes: ['billing:read'], expiresInDays: 90 }],
  jobs: [
    { job: 'Read invoices', scopes: ['billing:read'] },
    { job: 'Create checkout links', scopes: ['billing:checkout'], workflow: 'sell-with-checkout-link' },
    { job: 'Change plan and payment method', scopes: ['billing:manage'] },
    { job: 'Start onboarding for payouts', scopes: ['payouts:manage'] },
    { job: 'Transfer money', scopes: ['transfers:manage'] },
  ],
  workflows: [
    {
      id: 'sell-with-checkout-link',
      title: 'Sell something with a checkout link',
      scopes: ['billing:checkout'],
      steps: [
        {
          id: 'link',
          endpoint: 'createCheckoutLink',
          save: { linkId: '$response.body#/id', url: '$response.body#/url' },
        },
        { id: 'poll', endpoint: 'readCheckoutLink', use: { linkId: '$steps.link.outputs.linkId' } },
      ],
      humanStep: 'Open url in a browser to pay; a script cannot do that.',
      success: 'paid is true',
    },
  ],
}
