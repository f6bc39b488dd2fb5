// What an admin does at the command line: everybody's tokens, who did what, services and their secrets, subjects.
import t, { type Test } from 'tap'
import { createCli } from '../helpers/cli.ts'
import { basic, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { hasTerminal, inTerminal } from '../helpers/terminal.ts'

t.test('admin', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin } = latchkey
  await registerPosts(latchkey)
  const signedIn = (t: Test) => createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
  const introspects = async (id: string, secret: string) =>
    (await latchkey.form('/oauth2/introspect', { token: admin }, basic(id, secret))).status === 200

  whole.test('admin tokens lists everybody’s, or says that this token does not see them', async (t) => {
    const cli = await signedIn(t)
    await provision(latchkey, { name: 'theirs', subject: 'user_7' })
    const reader = (await provision(latchkey, { name: 'reader', subject: 'user_8', scopes: ['tokens:read'] }))
      .token
    const { tokens, nextCursor } = await cli.json(['admin', 'tokens', '--all'])
    t.equal(nextCursor, null)
    t.same(
      new Set(tokens.map((one: { subject: string }) => one.subject)),
      new Set(['user_7', 'user_8', 'admin']),
    )
    const theirs = await cli.run(['admin', 'tokens', '--subject', 'user_7', '--status', 'active', '--quiet'])
    t.match(theirs, { code: 0, stdout: /^tok_\w+\n$/ })
    const env = { LATCHKEY_TOKEN: reader }
    t.match(await cli.run(['token', 'list', '--quiet'], { env }), { code: 0, stdout: /^tok_\w+\n$/ })
    t.match(await cli.run(['admin', 'tokens'], { env }), {
      code: 5,
      stdout: '',
      stderr: /needs?|has tokens:admin/,
    })
  })

  whole.test('admin audit says who did what, filtered and page by page', async (t) => {
    const cli = await signedIn(t)
    const { id } = await provision(latchkey, { name: 'watched' })
    await cli.run(['token', 'revoke', id, '--yes'])
    const { events } = await cli.json(['admin', 'audit', '--token-id', id])
    t.match(events, [{ action: 'token.revoked', actor: 'admin' }, { action: 'token.provisioned' }])
    const first = await cli.json(['admin', 'audit', '--limit', '1', '--subject', 'user_42'])
    const second = await cli.json([
      'admin',
      'audit',
      '--limit',
      '1',
      '--subject',
      'user_42',
      '--cursor',
      first.nextCursor,
    ])
    t.not(first.events[0].id, second.events[0].id)
    t.match(await cli.run(['admin', 'audit', '--action', 'service.registered']), {
      code: 0,
      stdout:
        /^AT +ACTION +BY +FROM +ABOUT +DETAIL\n20\S+Z +service\.registered +admin +127\.0\.0\.1 +posts +\{"name":/,
    })
    t.match(await cli.run(['admin', 'audit', '--action', 'nothing']), {
      code: 1,
      stderr: /Must be one of token\.provisioned/,
    })
    t.match(await cli.run(['admin', 'audit', '--since', '2100-01-01T00:00:00Z']), {
      code: 0,
      stdout: 'No audit events.\n',
    })
  })

  whole.test('a service is registered, changed and removed; its secret is shown alone, once', async (t) => {
    const cli = await signedIn(t)
    const create = ['admin', 'service', 'create', 'billing', '--name', 'Billing', '--checks-ip']
    const { code, stdout, stderr } = await cli.run([...create, '--quiet'])
    t.match({ code, stdout, stderr }, { code: 0, stdout: /^lks_\S+\n$/, stderr: /shown this once/ })
    t.ok(await introspects('billing', stdout.trim()))
    t.match(await cli.run(create), { code: 7, stdout: '' }, 'there is one already')
    const { service } = await cli.json(['admin', 'service', 'show', 'billing'])
    t.match(service, { id: 'billing', checksIp: true, credentials: [{ id: /^sec_/ }] })
    t.equal('clientSecret' in service, false)
    const changed = await cli.json([
      'admin',
      'service',
      'update',
      'billing',
      '--no-checks-ip',
      '--base-url',
      'https://billing.example',
    ])
    t.match(changed.service, { name: 'Billing', checksIp: false, baseUrl: 'https://billing.example' })
    t.match(
      (await cli.json(['admin', 'service', 'list'])).services.map((one: { id: string }) => one.id),
      ['billing', 'latchkey', 'posts'],
    )
    t.match(await cli.run(['admin', 'service', 'list']), {
      stdout: /^billing +Billing +https:\/\/billing\.example +no +sec_/m,
    })
    t.match(await cli.run(['admin', 'service', 'remove', 'billing']), { code: 2, stderr: /--yes/ })
    t.match(await cli.json(['admin', 'service', 'remove', 'billing', '--yes']), {
      removed: { id: 'billing' },
    })
    t.match(await cli.run(['admin', 'service', 'show', 'billing']), { code: 6 })
    const another = await cli.json(['admin', 'service', 'create', 'other', '--name', 'Other'])
    t.match(another.service, { id: 'other', clientSecret: /^lks_/ })
  })

  whole.test('a service changes its secret without downtime', async (t) => {
    const cli = await signedIn(t)
    const old = (
      await cli.run(['admin', 'service', 'create', 'shop', '--name', 'Shop', '--quiet'])
    ).stdout.trim()
    const { credential, former } = await cli.json(['admin', 'service', 'rotate-secret', 'shop'])
    t.match(credential, { id: /^sec_/, clientId: 'shop', clientSecret: /^lks_/ })
    t.equal(former.length, 1)
    t.ok(await introspects('shop', old), 'the old one is still good')
    t.ok(await introspects('shop', credential.clientSecret))
    t.match(await cli.run(['admin', 'service', 'rotate-secret', 'shop']), { code: 7, stderr: /at most 2/ })
    t.match(await cli.run(['admin', 'service', 'remove-secret', 'shop', former[0]]), {
      code: 2,
      stderr: /--yes/,
    })
    t.match(await cli.json(['admin', 'service', 'remove-secret', 'shop', former[0], '--yes']), {
      removed: { id: former[0] },
    })
    t.notOk(await introspects('shop', old))
    const next = await cli.run(['admin', 'service', 'rotate-secret', 'shop', '--quiet'])
    t.match(next, {
      code: 0,
      stdout: /^lks_\S+\n$/,
      stderr: new RegExp(`remove-secret shop ${credential.id}`),
    })
    t.match(
      await cli.run(['admin', 'service', 'remove-secret', 'shop', '..', '--yes']),
      { code: 6 },
      'no other path',
    )
  })

  whole.test('a subject is disabled, enabled and capped', async (t) => {
    const cli = await signedIn(t)
    const { id } = await provision(latchkey, { name: 'of nine', subject: 'ci/site|9' })
    const statusOf = async () => (await latchkey.call('GET', `/api/v1/tokens/${id}`)).body.status
    const about = (verb: string, ...more: string[]) => ['admin', 'subject', verb, 'ci/site|9', ...more]
    t.match(await cli.run(about('disable')), { code: 2, stderr: /--yes/ })
    t.match(await cli.json(about('disable', '--yes')), { subject: { id: 'ci/site|9', disabled: true } })
    t.equal(await statusOf(), 'disabled')
    t.match(await cli.json(about('enable')), { subject: { disabled: false, disabledAt: null } })
    t.equal(await statusOf(), 'active')
    t.match(await cli.run(about('cap')), { code: 2, stderr: /--scope, or --none/ })
    t.match(await cli.json(about('cap', '--scope', 'posts:read', '--yes')), {
      subject: { scopeCap: ['posts:read'] },
    })
    t.match(await cli.run(about('show')), {
      code: 0,
      stdout: 'subject:   ci/site|9\ndisabled:  no\nscope cap: posts:read\n',
    })
    t.match(await cli.json(about('cap', '--none')), { subject: { scopeCap: null } })
    t.match(await cli.run(['admin', 'subject', 'show', 'nobody']), { code: 6 })
  })

  whole.test(
    'in a terminal, what cannot be undone is asked',
    { skip: !hasTerminal && 'no "script" here' },
    async (t) => {
      const cli = await signedIn(t)
      await cli.run(['admin', 'service', 'create', 'gone', '--name', 'Gone', '--quiet'])
      const args = ['admin', 'service', 'remove', 'gone']
      const question = /Remove the service gone \(Gone\), its secrets and its scopes\? \[y\/N\] /
      t.match(await inTerminal(cli, args, [{ to: question, type: 'n\r' }]), { code: 2, shown: /Cancelled/ })
      t.match(await cli.run(['admin', 'service', 'show', 'gone']), { code: 0 })
      t.match(await inTerminal(cli, args, [{ to: question, type: 'y\r' }]), {
        code: 0,
        shown: /Service removed: gone/,
      })
    },
  )
})
