// Service tokens in a file for `latchkey apply`: narrowed in place, or replaced so that nothing is down; and what is not
// clear is not done.
import t from 'tap'
import { actionsOf, applying, fileOf, secretsWork } from '../../helpers/apply.ts'
import { provision, startLatchkey } from '../../helpers/latchkey.ts'

t.test('tokens in a file', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin, call } = latchkey
  latchkey.clock.now = Date.now()
  const tokensOf = async (subject: string) =>
    (await call('GET', `/api/v1/tokens?status=any&subject=${subject}&limit=100`)).body

  whole.test('a token that is to do more is replaced, and nothing is down meanwhile', async (t) => {
    const applied = await applying(t, url, admin)
    const { apply, run, write, secret } = applied
    const file = fileOf('wide')
    await apply(file)
    const before = await secret('of_wide.backup.token')
    Object.assign(file.tokens[0], { scopes: ['wide:write'], ipRestriction: null, description: 'more' })
    await write(file)
    t.match(await run('--plan'), {
      stdout: /^± replace token backup of of_wide \(tok_\w+\)\n {4}scopes: wide:read → wide:write\n/,
    })
    t.match(await run(), { code: 2, stderr: /--yes/ })
    const done = await apply(file)
    t.same(actionsOf(done), ['replace token backup'])

    const [now, former] = await tokensOf('of_wide')
    t.match(now, {
      scopes: ['wide:write'],
      ipRestriction: null,
      status: 'active',
      metadata: { ticket: 'OPS-12', replaces: former.id },
    })
    t.not(await secret('of_wide.backup.token'), before)
    t.match(await secretsWork(latchkey, applied, 'wide'), { active: true, scope: 'wide:read wide:write' })
    t.match(former, {
      status: 'active',
      scopes: ['wide:read'],
      ipRestriction: '203.0.113.0/24, 2001:db8::/32',
    })
    t.ok(Math.abs(Date.parse(former.expireAt) - Date.now() - 86_400_000) < 600_000, 'for a day')
    t.same(actionsOf(await apply(file)), [], 'and that is that')

    Object.assign(file.tokens[0], {
      scopes: ['wide:read'],
      expireAt: '2099-01-01T00:00:00Z',
      expiresIn: undefined,
      team: 'team_a',
    })
    await apply(file)
    const all = (await tokensOf('of_wide')).filter(({ status }: { status: string }) => status === 'active')
    t.match(all[0], { scopes: ['wide:read'], team: 'team_a', expireAt: '2099-01-01T00:00:00.000Z' })
    t.match(
      all.map(({ scopes }: { scopes: string[] }) => scopes),
      [['wide:read'], ['wide:read'], ['wide:read']],
      'who still has a former one can do no more than both',
    )
    t.same(actionsOf(await apply(file)), [])
  })

  whole.test('a token that moves works from both networks meanwhile, and from nowhere else', async (t) => {
    const { apply } = await applying(t, url, admin)
    const file = fileOf('moving')
    await apply(file)
    const [token] = file.tokens
    for (const [ipRestriction, meanwhile] of [
      ['10.0.0.0/8', '203.0.113.0/24, 2001:db8::/32'],
      ['10.1.0.0/16, 192.0.2.0/24', '10.1.0.0/16'],
    ]) {
      token.ipRestriction = ipRestriction
      t.same(actionsOf(await apply(file)), ['replace token backup'])
      const [now, former] = await tokensOf('of_moving')
      t.match([now.ipRestriction, former.ipRestriction], [ipRestriction, meanwhile])
      t.same(actionsOf(await apply(file)), [])
    }
  })

  whole.test('a token that is to do less is changed at once, and keeps its id and secret', async (t) => {
    const { apply, secret } = await applying(t, url, admin)
    const file = fileOf('less')
    delete file.services[0].scopes[1].maxLifetimeDays
    Object.assign(file.tokens[0], {
      scopes: ['less:write'],
      ipRestriction: undefined,
      expiresIn: undefined,
      expireAt: null,
    })
    await apply(file)
    const [before] = await tokensOf('of_less')
    const kept = await secret('of_less.backup.token')
    Object.assign(file.tokens[0], {
      scopes: ['less:read'],
      ipRestriction: '10.0.0.0/8',
      expireAt: '2090-01-01T00:00:00+02:00',
      metadata: { a: 1 },
    })
    t.same(actionsOf(await apply(file)), ['change token backup'], 'reading is implied by writing')
    t.match(await tokensOf('of_less'), [
      { id: before.id, scopes: ['less:read'], ipRestriction: '10.0.0.0/8', metadata: { a: 1 } },
    ])
    t.equal(await secret('of_less.backup.token'), kept)
    t.same(actionsOf(await apply(file)), [])
  })

  whole.test('where it is not clear what is meant, nothing is done', async (t) => {
    const { apply, run, write } = await applying(t, url, admin)
    const file = fileOf('vague')
    await apply(file)
    const refuses = async (file: object, says: RegExp) => {
      await write(file)
      t.match(await run('--yes'), { code: 7, stdout: '', stderr: says })
    }
    const [policy] = file.trustPolicies
    await refuses(
      { trustPolicies: [{ ...policy, issuer: 'https://token.actions.acme.ghe.com' }] },
      /issuer of the trust policy "vague deploys" is https:\/\/token\.actions\.githubusercontent\.com, and is never changed/,
    )
    await call('POST', '/api/v1/trust-policies', policy)
    await refuses(file, /Several trust policies are called "vague deploys": pol_\w+, pol_\w+\./)
    const [token] = await tokensOf('of_vague')
    await call('POST', `/api/v1/tokens/${token.id}/disable`)
    await refuses(
      { tokens: [{ ...file.tokens[0], scopes: ['vague:write'] }] },
      /is disabled, and what takes its place would not be.*\n.*token enable tok_/,
    )
    t.same(actionsOf(await apply({ tokens: file.tokens })), [], 'else it is left paused')
    await provision(latchkey, { name: 'backup', subject: 'of_vague', type: 'service', scopes: [] })
    await refuses({ tokens: file.tokens }, /of_vague has several service tokens "backup": tok_\w+, tok_\w+/)
  })
})
