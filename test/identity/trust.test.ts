// Trust policies: what is refused when one is made, how wide it can be then and later, and what an exchange gives.
import t, { type Test } from 'tap'
import { cleanUses } from '../../src/identity/trust/queries.ts'
import { type Claims, exchangeForm, githubClaims, gitlabClaims, startCiIssuer } from '../helpers/ci-issuer.ts'
import {
  type Answer,
  engines,
  type Latchkey,
  provision,
  registerPosts,
  startLatchkey,
} from '../helpers/latchkey.ts'
import { everyRow } from '../helpers/rows.ts'

const github = { repository_id: '724513876', repository_owner_id: '9919' }
const gitlab = { project_id: '20', namespace_id: '72', ref_protected: 'true' }
const onGithub = {
  name: 'site',
  issuer: 'https://token.actions.githubusercontent.com',
  conditions: github,
  scopes: ['posts:read'],
}
const onGitlab = { name: 'shop', issuer: 'https://gitlab.com', conditions: gitlab, scopes: ['posts:read'] }
const elsewhere = {
  name: 'x',
  issuer: 'https://ci.example',
  conditions: { sub: 'job:1' },
  scopes: ['posts:read'],
}

const setGithub = (more: object) => ({ ...onGithub, conditions: { ...github, ...more } })
const setGitlab = (more: object) => ({ ...onGitlab, conditions: { ...gitlab, ...more } })
const only = (conditions: object, body: object = onGithub) => ({ ...body, conditions })

/** Each a way in which somebody trusted more than was meant: what is asked for, and the field that is pointed to. */
const pitfalls: [name: string, body: object, pointer: string][] = [
  ['no condition at all', only({}), '/conditions'],
  ['no repository', only({ ref: 'refs/heads/main' }), '/conditions/repository_id'],
  ['no repository, but its owner', only({ repository_owner_id: '9919' }), '/conditions/repository_id'],
  ['no owner', only({ repository_id: '1' }), '/conditions/repository_owner_id'],
  ['names for ids', only({ repository: 'acme/site', repository_owner: 'acme' }), '/conditions/repository_id'],
  ['a sub for ids', only({ sub: 'repo:acme/site:ref:refs/heads/main' }), '/conditions/repository_id'],
  ['a name as id', setGithub({ repository_id: 'acme/site' }), '/conditions/repository_id'],
  ['a name among ids', setGithub({ repository_id: ['1', 'site'] }), '/conditions/repository_id'],
  ['zero', setGithub({ repository_owner_id: '0' }), '/conditions/repository_owner_id'],
  ['a number for its text', setGithub({ repository_id: 724513876 }), '/conditions/repository_id'],
  ['a boolean for its text', setGithub({ ref_protected: true }), '/conditions/ref_protected'],
  ['any owner', setGithub({ repository_owner_id: '*' }), '/conditions/repository_owner_id'],
  ['a glob in a name', setGithub({ repository: 'acme/*' }), '/conditions/repository'],
  ['a prefix', setGithub({ sub: 'repo:acme*' }), '/conditions/sub'],
  ['a glob of all jobs', setGithub({ sub: 'repo:acme/site:*' }), '/conditions/sub'],
  ['a glob within a segment', setGithub({ ref: 'refs/heads/release-*' }), '/conditions/ref'],
  ['a glob in the middle', setGithub({ ref: 'refs/*/main' }), '/conditions/ref'],
  ['two globs', setGithub({ ref: 'refs/*/*' }), '/conditions/ref'],
  ['every ref', setGithub({ ref: '*' }), '/conditions/ref'],
  ['a double star', setGithub({ ref: 'refs/heads/**' }), '/conditions/ref'],
  ['a regular expression', setGithub({ ref: '^refs/heads/main$' }), '/conditions/ref'],
  ['an expression unanchored', setGithub({ ref: 'refs/heads/.+' }), '/conditions/ref'],
  ['a class of characters', setGithub({ environment: 'prod[0-9]' }), '/conditions/environment'],
  [
    'a glob in a workflow',
    setGithub({ job_workflow_ref: 'acme/ci/.github/workflows/*' }),
    '/conditions/job_workflow_ref',
  ],
  ...[
    'pull_request_target',
    'pull_request',
    'workflow_run',
    'issue_comment',
    'issues',
    'fork',
    'discussion',
    'anything',
    'PUSH',
  ].map((event): [string, object, string] => [
    `jobs for ${event}`,
    setGithub({ event_name: event }),
    '/conditions/event_name',
  ]),
  [
    'such jobs among others',
    setGithub({ event_name: ['push', 'pull_request_target'] }),
    '/conditions/event_name',
  ],
  ['pull requests by sub', setGithub({ sub: 'repo:acme/site:pull_request' }), '/conditions/sub'],
  [
    'pull requests by the new sub',
    setGithub({ sub: 'repo:acme@9919/site@724513876:pull_request' }),
    '/conditions/sub',
  ],
  ['half a sub', setGithub({ sub: 'repo:acme/site' }), '/conditions/sub'],
  ['half of the new sub', setGithub({ sub: 'repo:acme@9919/site:ref:refs/heads/main' }), '/conditions/sub'],
  ['a claim in another case', setGithub({ Environment: 'production' }), '/conditions/Environment'],
  [
    'ids in another case',
    only({ Repository_Id: '1', Repository_Owner_Id: '2' }),
    '/conditions/repository_id',
  ],
  ...['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'].map((name): [string, object, string] => [
    `${name} as a condition`,
    setGithub({ [name]: 'x' }),
    `/conditions/${name}`,
  ]),
  ['GitHub’s own audience', { ...onGithub, audience: 'https://github.com/acme' }, '/audience'],
  ['the issuer as audience', { ...onGithub, audience: onGithub.issuer }, '/audience'],
  ['the audience of a cloud', { ...onGithub, audience: 'sts.amazonaws.com' }, '/audience'],
  ['the audience of a registry', { ...onGithub, audience: 'sigstore' }, '/audience'],
  ['GitHub as anybody', { ...elsewhere, issuer: onGithub.issuer, provider: 'oidc' }, '/provider'],
  ['GitHub as GitLab', { ...onGitlab, issuer: onGithub.issuer, provider: 'gitlab' }, '/provider'],
  [
    'GitHub’s ids at anybody',
    { ...elsewhere, conditions: { repository_id: '1' } },
    '/conditions/repository_id',
  ],
  ['GitLab’s ids at anybody', { ...elsewhere, conditions: { project_id: '1' } }, '/conditions/project_id'],
  [
    'GitHub’s sub at anybody',
    { ...elsewhere, conditions: { sub: 'repo:acme/site:ref:refs/heads/main' } },
    '/conditions/sub',
  ],
  [
    'GitLab’s sub at anybody',
    { ...elsewhere, conditions: { sub: 'project_path:acme/shop:ref_type:branch:ref:main' } },
    '/conditions/sub',
  ],
  ['no project', only({ namespace_id: '72', ref_protected: 'true' }, onGitlab), '/conditions/project_id'],
  ['no namespace', only({ project_id: '20', ref_protected: 'true' }, onGitlab), '/conditions/namespace_id'],
  [
    'paths for ids',
    only({ project_path: 'acme/shop', namespace_path: 'acme', ref_protected: 'true' }, onGitlab),
    '/conditions/project_id',
  ],
  ['a path as id', setGitlab({ project_id: 'acme/shop' }), '/conditions/project_id'],
  ['a number for an id', setGitlab({ project_id: 20 }), '/conditions/project_id'],
  ['any ref', only({ project_id: '20', namespace_id: '72' }, onGitlab), '/conditions/ref_protected'],
  ['unprotected refs', setGitlab({ ref_protected: 'false' }), '/conditions/ref_protected'],
  ['protected or not', setGitlab({ ref_protected: ['true', 'false'] }), '/conditions/ref_protected'],
  ['protected as a boolean', setGitlab({ ref_protected: true }), '/conditions/ref_protected'],
  ...['merge_request_event', 'external_pull_request_event', 'chat', 'anything'].map(
    (source): [string, object, string] => [
      `jobs for ${source}`,
      setGitlab({ pipeline_source: source }),
      '/conditions/pipeline_source',
    ],
  ),
  ['GitLab’s old audience', { ...onGitlab, audience: 'https://gitlab.com' }, '/audience'],
  ['GitLab’s host as audience', { ...onGitlab, audience: 'gitlab.com' }, '/audience'],
  ['a glob in GitLab’s sub', setGitlab({ sub: 'project_path:acme/*' }), '/conditions/sub'],
  ['a whole organization', { ...elsewhere, conditions: { organization_id: '1' } }, '/conditions'],
  ['a whole tenant', { ...elsewhere, conditions: { 'ci.example/tenant-id': '1' } }, '/conditions'],
  ['nobody in particular', { ...elsewhere, conditions: { environment: 'production' } }, '/conditions'],
  ['a glob at anybody', { ...elsewhere, conditions: { sub: 'job:*' } }, '/conditions/sub'],
  [
    'a glob of refs at anybody',
    { ...elsewhere, conditions: { sub: 'job:1', ref: 'refs/heads/*' } },
    '/conditions/ref',
  ],
  ...[
    'http://ci.example',
    'ci.example',
    'https://ci.example?x',
    'https://ci.example#x',
    'https://u:p@ci.example',
    'https://CI.example',
    'https://ci.example:443',
    'https://localhost',
    'https://x.localhost/',
    'https://127.0.0.1',
    'https://10.0.0.1',
    'https://169.254.169.254',
    'https://[::1]',
    'https://[::ffff:10.0.0.1]',
    'https://[fd00::1]',
    'https://0x7f.1',
    'https://2130706433',
    'ftp://ci.example',
    'javascript:x',
    'file:///etc/passwd',
    ' https://ci.example',
  ].map((issuer): [string, object, string] => [`issuer ${issuer}`, { ...elsewhere, issuer }, '/issuer']),
]

for (const engine of engines) {
  t.test(engine, async (t) => {
    const hub = await startCiIssuer(t, '/_services/token')
    const latchkey = await startLatchkey(t, engine, { LATCHKEY_INTERNAL_ISSUERS: hub.url })
    const { call, form, clock } = latchkey
    const { issuer: audience, store } = latchkey.running
    await registerPosts(latchkey)
    const path = '/api/v1/trust-policies'
    const make = (body: object, token = latchkey.admin) => call('POST', path, body, { token })
    const ofHub = { ...onGithub, issuer: hub.url }
    const made = async (body: object = {}, token = latchkey.admin) => {
      const answer = await make({ ...ofHub, ...body }, token)
      if (answer.status !== 200) throw new Error(answer.text)
      return answer.body
    }
    const jwt = (more: Claims = {}) => hub.sign(githubClaims(hub.url, audience, clock.now, more))
    const exchange = async (more: Record<string, string> = {}, claims: Claims = {}): Promise<Answer> =>
      form('/oauth2/token', exchangeForm(await jwt(claims), more))
    /** With a policy that is the only one, as long as the work takes. */
    const under = async (
      body: object,
      work: (policy: Record<string, never>) => Promise<unknown>,
      token?: string,
    ) => {
      const policy = await made(body, token)
      await work(policy)
      await call('DELETE', `${path}/${policy.id}`)
    }
    const denied = ({ status, body }: Answer) => `${status} ${body.error}`
    const reason = async () =>
      (await call('GET', '/api/v1/audit-events?limit=1&action=exchange.refused')).body[0]?.detail.reason

    t.test('a policy is made, shown, listed, changed and removed', async (t) => {
      const { status, headers, body } = await make({
        ...onGithub,
        description: 'd',
        team: 'team_a',
        services: ['posts'],
      })
      t.equal(status, 200)
      t.equal(headers.get('location'), `${path}/${body.id}`)
      t.strictSame(body, {
        id: body.id,
        name: 'site',
        description: 'd',
        provider: 'github',
        issuer: onGithub.issuer,
        audience,
        conditions: {
          ...github,
          event_name: ['push', 'schedule', 'workflow_dispatch', 'release', 'deployment'],
        },
        scopes: ['posts:read'],
        team: 'team_a',
        services: ['posts'],
        ipRestriction: null,
        maxLifetimeMinutes: 15,
        subject: `ci_${body.id}`,
        maker: 'admin',
        expireAt: null,
        createdAt: new Date(clock.now).toISOString(),
        createdBy: 'admin',
        updatedAt: new Date(clock.now).toISOString(),
      })
      t.strictSame((await call('GET', `${path}/${body.id}`)).body, body)
      const other = (await make({ ...onGitlab, subject: 'ci_shop' })).body
      t.match(other, {
        provider: 'gitlab',
        conditions: { pipeline_source: ['push', 'schedule', 'web'] },
        subject: 'ci_shop',
      })
      const ids = async (query: string) =>
        (await call('GET', path + query)).body.map((one: { id: string }) => one.id)
      t.strictSame(await ids(''), [other.id, body.id])
      t.strictSame(await ids('?team=team_a'), [body.id])
      t.strictSame(await ids('?maker=admin&limit=1'), [other.id])
      t.strictSame(await ids('?maker=nobody'), [])

      clock.now += 1_000
      const change = {
        name: 'n',
        team: null,
        conditions: { ...github, environment: 'production', event_name: 'deployment' },
      }
      const changed = await call('PATCH', `${path}/${body.id}`, change)
      t.strictSame(changed.body, { ...body, ...change, updatedAt: new Date(clock.now).toISOString() })
      for (const fixed of [
        { issuer: 'https://gitlab.com' },
        { subject: 'x' },
        { provider: 'oidc' },
        { maker: 'x' },
        {},
      ])
        t.equal((await call('PATCH', `${path}/${body.id}`, fixed)).status, 400, JSON.stringify(fixed))
      t.equal((await call('PATCH', `${path}/${body.id}`, { conditions: { ref: 'x' } })).status, 400)
      for (const { id } of [body, other]) t.equal((await call('DELETE', `${path}/${id}`)).status, 200)
      for (const [method, at, json] of [
        ['GET', ''],
        ['PATCH', '', { name: 'x' }],
        ['DELETE', ''],
        ['POST', '/test', { claims: {} }],
      ] as const)
        t.equal((await call(method, `${path}/${body.id}${at}`, json)).status, 404, method)
    })

    t.test(
      'what would trust more than was meant is refused, by a pointer to it, and nothing is written',
      async (t) => {
        const before = await everyRow(store.db)
        for (const [name, body, pointer] of pitfalls) {
          const answer = await make(body)
          t.equal(answer.status, 400, name)
          const pointers = answer.body.errors.map((one: { pointer: string }) => one.pointer)
          t.ok(pointers.includes(pointer), `${name} points to ${pointer}`, { pointers })
        }
        t.comment(`${pitfalls.length} pitfalls`)
        t.equal(await everyRow(store.db), before)
      },
    )

    t.test('what is narrow enough is not refused', async (t) => {
      for (const body of [
        setGithub({ ref: 'refs/heads/main' }),
        setGithub({ ref: ['refs/tags/*', 'refs/heads/release/*'] }),
        setGithub({ environment: 'production', event_name: ['push', 'merge_group'] }),
        setGithub({ repository: 'acme/site', sub: 'repo:acme/site:environment:a%3Ab' }),
        setGithub({
          repository_id: ['1', '2'],
          job_workflow_ref: 'acme/ci/.github/workflows/deploy.yml@refs/heads/main',
        }),
        setGithub({ sub: 'repository_owner_id:9919:job:x' }),
        { ...onGithub, issuer: 'https://token.actions.acme.ghe.com' },
        { ...onGithub, issuer: 'https://github.acme.example/_services/token' },
        { ...onGithub, issuer: `${onGithub.issuer}/acme`, audience: 'https://latchkey.example' },
        setGitlab({ ref: 'main', pipeline_source: ['web', 'trigger'] }),
        setGitlab({ ref_path: 'refs/tags/*' }),
        { ...onGitlab, issuer: 'https://gitlab.acme.example', provider: 'gitlab' },
        elsewhere,
        { ...elsewhere, issuer: 'https://ci.example/' },
        { ...elsewhere, conditions: { 'oidc.ci.example/project-id': 'c0ffee' } },
        {
          ...elsewhere,
          conditions: { '/kubernetes.io/serviceaccount/uid': 'c0ffee', email_verified: true, level: 3 },
        },
        { ...elsewhere, conditions: { sub: 'auth0|1' } },
      ]) {
        const answer = await make(body)
        t.equal(answer.status, 200, answer.text)
        await call('DELETE', `${path}/${answer.body.id}`)
      }
    })

    t.test('a policy is never wider than the token that makes it', async (t) => {
      const admin = async (body: object) =>
        (await provision(latchkey, { subject: 'boss', scopes: ['tokens:admin'], ...body })).token
      const plain = await admin({})
      const refused = async (body: object, token: string, status = 403) => {
        const answer = await make({ ...onGithub, ...body }, token)
        t.equal(answer.status, status, `${JSON.stringify(body)}: ${answer.body.detail}`)
      }
      const writer = (await provision(latchkey, { scopes: ['tokens:write', 'posts:read'] })).token
      await refused({}, writer)
      await refused({ scopes: ['no:such'] }, plain, 400)
      await refused({ services: ['nothing'] }, plain, 400)
      await refused({ scopes: ['audit:read'] }, plain)
      for (const scope of ['tokens:admin', 'services:admin', 'events:admin'])
        await refused({ scopes: [scope] }, latchkey.admin)
      await refused({ ipRestriction: '0.0.0.0/0' }, await admin({ ipRestriction: '127.0.0.0/8' }))
      await call('PATCH', '/api/v1/subjects/ci_capped', { scopeCap: ['posts:read'] })
      await refused({ subject: 'ci_capped', scopes: ['posts:write'] }, plain)
      await call('PATCH', '/api/v1/subjects/ci_gone', { disabled: true })
      await refused({ subject: 'ci_gone' }, plain)

      const bound = await admin({ ipRestriction: '127.0.0.0/8', expiresIn: '1h' })
      await under(
        {},
        async (policy) => t.match(policy, { ipRestriction: '127.0.0.0/8', expireAt: null, maker: 'boss' }),
        bound,
      )
      const own = await admin({ scopes: ['tokens:admin', 'audit:read'], team: 'team_a', expiresIn: '1h' })
      await refused({ scopes: ['audit:read'], team: 'team_b' }, own)
      await refused({ scopes: ['audit:read'], expireAt: new Date(clock.now + 7_200_000).toISOString() }, own)
      const end = new Date(clock.now + 3_600_000).toISOString()
      await under(
        { scopes: ['audit:read'] },
        async (policy) =>
          t.match(policy, { team: 'team_a', expireAt: end }, 'what is of Latchkey’s own ends with its maker'),
        own,
      )
      const wide = await made({ scopes: ['audit:read'] })
      t.equal(
        (await call('PATCH', `${path}/${wide.id}`, { name: 'x' }, { token: plain })).status,
        403,
        'nor than who changes it',
      )
      await call('DELETE', `${path}/${wide.id}`)
    })

    t.test('what it gives shrinks with what its maker and its subject may have now', async (t) => {
      const boss = await provision(latchkey, { subject: 'boss2', scopes: ['tokens:admin'] })
      const body = { scopes: ['posts:write'], subject: 'ci_site' }
      const cap = (subject: string, change: object) => call('PATCH', `/api/v1/subjects/${subject}`, change)
      await under(
        body,
        async ({ id }) => {
          t.equal((await exchange()).body.scope, 'posts:write')
          await call('DELETE', `/api/v1/tokens/${boss.id}`)
          t.equal((await exchange()).body.scope, 'posts:write', 'the maker’s token is gone, the policy stays')
          for (const subject of ['boss2', 'ci_site']) {
            await cap(subject, { scopeCap: ['posts:read'] })
            t.equal((await exchange()).body.scope, 'posts:read', `${subject} may have less`)
            t.equal(denied(await exchange({ scope: 'posts:none' })), '400 invalid_scope')
            await cap(subject, { scopeCap: [] })
            t.equal(denied(await exchange()), '400 invalid_scope', `${subject} may have nothing`)
            await cap(subject, { scopeCap: null, disabled: true })
            t.equal(denied(await exchange()), '400 invalid_request')
            t.equal(await reason(), subject === 'boss2' ? 'maker_disabled' : 'subject_disabled')
            await cap(subject, { disabled: false })
          }
          await cap('boss2', { disabled: true })
          await call('PATCH', `${path}/${id}`, { name: 'taken over' })
          t.equal((await exchange()).status, 200, 'somebody else answers for it')
          await cap('boss2', { disabled: false })
        },
        boss.token,
      )
      await under({ expireAt: new Date(clock.now + 300_000).toISOString() }, async () => {
        t.equal((await exchange()).body.expires_in, 300, 'no longer than the policy')
        clock.now += 298_500
        t.equal((await exchange()).body.expires_in, 1, 'in whole seconds')
        clock.now += 501
        t.equal(denied(await exchange()), '400 invalid_request')
        t.equal(await reason(), 'policy_ended')
      })
    })

    t.test('a token has what was asked for, as far as the policy has it', async (t) => {
      await under(
        {
          scopes: ['posts:write'],
          services: ['posts'],
          ipRestriction: '127.0.0.0/8',
          maxLifetimeMinutes: 30,
        },
        async () => {
          const got = async (more: Record<string, string>) => (await exchange(more)).body
          t.match(await got({}), { scope: 'posts:write', expires_in: 900 })
          t.match(await got({ scope: 'posts:read' }), { scope: 'posts:read' })
          t.match(await got({ scope: 'posts:read posts:write tokens:admin' }), { scope: 'posts:write' })
          t.match(await got({ scope: ' ' }), { scope: 'posts:write' })
          for (const scope of ['tokens:admin', 'none', '__proto__'])
            t.equal(denied(await exchange({ scope })), '400 invalid_scope', scope)
          for (const [asked, given] of [
            // RFC 6749 §3.2: as if it were left out.
            ['', 900],
            ['60', 60],
            ['1', 1],
            ['1800', 1_800],
            ['1801', 1_800],
            ['999999999', 1_800],
          ] as const)
            t.equal((await got({ expires_in: asked })).expires_in, given, asked)
          for (const bad of ['0', '-1', '1.5', 'x', ' ', '1e9', ' 5'])
            t.equal(denied(await exchange({ expires_in: bad })), '400 invalid_request', bad)
          for (const target of ['posts', audience])
            t.equal((await exchange({ audience: target })).status, 200, target)
          for (const target of ['latchkey', 'unknown', 'https://evil.example'])
            for (const name of ['audience', 'resource'])
              t.equal(denied(await exchange({ [name]: target })), '400 invalid_target', `${name} ${target}`)
          const self = await call('GET', '/api/v1/tokens/self', undefined, {
            token: (await got({})).access_token,
          })
          t.match(self.body, { ipRestriction: '127.0.0.0/8', audience: ['posts'], createdBy: /^ci_pol_/ })
        },
      )
      await call('PATCH', '/api/v1/services/posts', { baseUrl: 'https://posts.example' })
      await under({ maxLifetimeMinutes: 60 }, async () => {
        t.equal((await exchange({ expires_in: '86400' })).body.expires_in, 3_600, 'an hour at most')
        const two: [string, string][] = [
          ...Object.entries(exchangeForm(await jwt())),
          ['audience', 'posts'],
          ['audience', 'latchkey'],
          ['resource', 'https://posts.example'],
        ]
        const { body } = await form('/oauth2/token', two)
        const self = await call('GET', '/api/v1/tokens/self', undefined, { token: body.access_token })
        t.strictSame(self.body.audience, ['posts', 'latchkey'])
      })
    })

    t.test('what is no request for an exchange is refused as what it is, and uses nothing up', async (t) => {
      await under({}, async () => {
        const token = await jwt()
        const good = exchangeForm(token)
        const bad: [Record<string, string> | [string, string][], string][] = [
          [{}, 'invalid_request'],
          [{ ...good, grant_type: 'client_credentials' }, 'unsupported_grant_type'],
          [{ ...good, grant_type: '' }, 'invalid_request'],
          [{ ...good, subject_token: '' }, 'invalid_request'],
          [{ ...good, subject_token_type: '' }, 'invalid_request'],
          [
            { ...good, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' },
            'invalid_request',
          ],
          [{ ...good, subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 'invalid_request'],
          [
            { ...good, requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
            'invalid_request',
          ],
          [{ ...good, actor_token: token, actor_token_type: good.subject_token_type }, 'invalid_request'],
          [{ ...good, actor_token_type: 'x' }, 'invalid_request'],
          [[...Object.entries(good), ['subject_token', token]], 'invalid_request'],
          [[...Object.entries(good), ['scope', 'a'], ['scope', 'b']], 'invalid_request'],
          [{ ...good, scope: 'x '.repeat(101) }, 'invalid_request'],
          [{ ...good, scope: 'none:such' }, 'invalid_scope'],
          [{ ...good, audience: 'none' }, 'invalid_target'],
        ]
        for (const [fields, error] of bad)
          t.equal(denied(await form('/oauth2/token', fields)), `400 ${error}`)
        const json = await call('POST', '/oauth2/token', good)
        t.equal(denied(json), '415 invalid_request')
        t.equal((await call('GET', '/oauth2/token')).status, 405)
        const requested = { requested_token_type: 'urn:ietf:params:oauth:token-type:access_token' }
        t.equal((await form('/oauth2/token', { ...good, ...requested, other: 'ignored' })).status, 200)
      })
    })

    t.test('of several policies the oldest that has all that is asked for gives it', async (t) => {
      const narrow = await made({ scopes: ['posts:read'], subject: 'ci_read' })
      clock.now += 1_000
      const wide = await made({ scopes: ['posts:write'], subject: 'ci_write' })
      const subject = async (more: Record<string, string>) =>
        (
          await call('GET', '/api/v1/tokens/self', undefined, {
            token: (await exchange(more)).body.access_token,
          })
        ).body.subject
      t.equal(await subject({}), 'ci_read')
      t.equal(await subject({ scope: 'posts:read' }), 'ci_read')
      t.equal(await subject({ scope: 'posts:write' }), 'ci_write')
      await call('PATCH', '/api/v1/subjects/ci_write', { disabled: true })
      t.equal(await subject({ scope: 'posts:write posts:read' }), 'ci_read', 'what is left of it')
      await call('PATCH', '/api/v1/subjects/ci_write', { disabled: false })
      for (const { id } of [narrow, wide]) await call('DELETE', `${path}/${id}`)
    })

    t.test('a policy of a last segment is for one segment', async (t) => {
      await under({ conditions: { ...github, ref: ['refs/tags/*', 'refs/heads/main'] } }, async () => {
        for (const [ref, status] of [
          ['refs/tags/v1', 200],
          ['refs/heads/main', 200],
          ['refs/tags/', 400],
          ['refs/tags/v1/x', 400],
          ['refs/tags', 400],
          ['refs/heads/v1', 400],
          ['xrefs/tags/v1', 400],
          ['refs/tags/*', 200],
        ] as const)
          t.equal((await exchange({}, { ref })).status, status, ref)
      })
    })

    t.test('a tester says claim by claim why a token matches or not, and uses nothing up', (t) =>
      explained(t, latchkey, made, hub.sign, hub.url),
    )

    t.test('uses are forgotten when the tokens are refused by their age', async (t) => {
      await under({}, async () => {
        const old = await jwt()
        t.equal((await form('/oauth2/token', exchangeForm(old))).status, 200)
        const uses = async () => (await store.db.selectFrom('federated_use').select('until').execute()).length
        const before = await uses()
        await cleanUses(store.db, new Date(clock.now - 3_600_000))
        t.equal(await uses(), before, 'not before')
        clock.now += 661_000
        t.equal(await cleanUses(store.db, new Date(clock.now)), before)
        t.equal(await uses(), 0)
        t.equal(denied(await form('/oauth2/token', exchangeForm(old))), '400 invalid_request')
        t.equal(await reason(), 'expired')
      })
    })

    t.test('an exchange is recorded with the run, never with the token', async (t) => {
      await under({}, async ({ id, subject }) => {
        const token = await jwt()
        const { body } = await form('/oauth2/token', exchangeForm(token))
        const { body: events } = await call(
          'GET',
          `/api/v1/audit-events?subject=${subject}&action=token.provisioned`,
        )
        t.match(events[0], { actor: subject, actorTokenId: null, requestId: /^req_/, clientIp: '127.0.0.1' })
        t.match(events[0].detail, {
          type: 'federated',
          scopes: ['posts:read'],
          exchanged: { policy: id, run_id: '4711' },
        })
        const rows = await everyRow(store.db)
        for (const secret of [token, token.split('.')[2]!, body.access_token]) t.notOk(rows.includes(secret))
      })
    })

    t.test('who presents what is worthless many times has to wait; who does not, not', async (t) => {
      await under({}, async () => {
        const worthless = exchangeForm(await jwt({ repository_id: '1' }))
        const send = () => form('/oauth2/token', worthless)
        let answer = await send()
        for (let n = 0; n < 200 && answer.status === 400; n++) answer = await send()
        t.equal(denied(answer), '429 temporarily_unavailable')
        t.ok(Number(answer.headers.get('retry-after')) > 0)
        t.equal(denied(await exchange()), '429 temporarily_unavailable', 'from there, good ones wait too')
        clock.now += 1_000
        for (let n = 0; n < 20; n++) t.equal((await exchange()).status, 200)
      })
    })
  })
}

async function explained(
  t: Test,
  { call, form, clock, running }: Latchkey,
  made: (body: object) => Promise<{ id: string }>,
  sign: (claims: Claims) => Promise<string>,
  issuer: string,
): Promise<void> {
  const { id } = await made({
    conditions: { ...github, environment: 'production', ref: ['refs/heads/main', 'refs/tags/*'] },
  })
  const test = async (body: object) => (await call('POST', `/api/v1/trust-policies/${id}/test`, body)).body
  const claims = (more: Claims = {}) =>
    githubClaims(issuer, running.issuer, clock.now, { environment: 'production', ...more })
  const failing = ({ checks, conditions }: { checks: Claims[]; conditions: Claims[] }) => [
    ...checks.filter(({ ok }) => !ok).map(({ check }) => check),
    ...conditions
      .filter(({ ok }) => !ok)
      .map(({ claim, expected, actual, why }) => [claim, expected, actual, why]),
  ]
  const good = await sign(claims())
  for (let n = 0; n < 2; n++) t.match(await test({ token: good }), { matches: true })
  t.match(await test({ claims: claims() }), { matches: true })
  t.equal((await form('/oauth2/token', exchangeForm(good))).status, 200)
  const used = await test({ token: good })
  t.equal(used.matches, false)
  t.strictSame(failing(used), ['single use'])

  const other = await test({
    token: await sign(claims({ environment: undefined, ref: 'refs/heads/x', repository_id: 724513876 })),
  })
  t.equal(other.matches, false)
  t.strictSame(
    new Set(failing(other)),
    new Set([
      ['environment', 'production', null, 'The token does not have this claim.'],
      ['ref', ['refs/heads/main', 'refs/tags/*'], 'refs/heads/x', 'It is none of the values of the policy.'],
      ['repository_id', '724513876', 724513876, 'The token has number here, the policy string.'],
    ]),
  )
  t.strictSame(failing(await test({ token: await sign(claims({ aud: 'x', exp: 1 })) })), ['claims'])
  t.strictSame(failing(await test({ token: await sign(claims({ aud: 'x' })) })), ['audience'])
  t.strictSame(failing(await test({ claims: claims({ iss: 'https://x.example' }) })), ['issuer'])
  t.strictSame(failing(await test({ token: `${good.slice(0, -8)}AAAAAAAA` })), ['signature', 'single use'])
  t.match(await test({ token: 'x' }), {
    matches: false,
    checks: [{ check: 'form', ok: false }],
    conditions: [],
  })
  t.match(await test({ claims: gitlabClaims(issuer, running.issuer, clock.now) }), { matches: false })
  for (const body of [{}, { token: 'x', claims: {} }, { token: 1 }, { claims: [] }, { jwt: 'x' }])
    t.equal((await call('POST', `/api/v1/trust-policies/${id}/test`, body)).status, 400, JSON.stringify(body))
  await call('DELETE', `/api/v1/trust-policies/${id}`)
}
