// `latchkey apply`: what a file says comes about, once; what it does not say is left alone.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { actionsOf, applying, fileOf, secretsWork } from '../../helpers/apply.ts'
import { provision, startLatchkey } from '../../helpers/latchkey.ts'

t.test('apply', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin, call } = latchkey
  latchkey.clock.now = Date.now()

  whole.test('a plan first, then what it says; and the same file again changes nothing', async (t) => {
    const { run, write, folder, secret } = await applying(t, url, admin)
    await write(stringify(fileOf('posts')))
    const plan = await run('--plan')
    t.match(plan, { code: 0, stderr: '' })
    t.match(
      plan.stdout,
      /^\+ create service posts\n {4}id: posts\n[^+]*secret → \S+posts\.client-secret\n\+ create scopes of posts\n {4}\+ groups content\n/,
    )
    t.match(plan.stdout, /\n\+ create token backup of of_posts\n[^+]*\n4 planned; 0 as the file says\.\n$/)
    t.match(JSON.parse((await run('--plan', '--json')).stdout), {
      changed: true,
      applied: false,
      steps: [{ action: 'create', state: 'planned', id: null }],
    })
    t.equal((await call('GET', '/api/v1/services/posts')).status, 404, 'nothing was done')
    t.same(await readdir(folder), [])

    const done = await run('--yes')
    t.match(done, { code: 0, stderr: '', stdout: /^\+ create service posts: done\n/ })
    t.match(done.stdout, /\n4 done; 0 as the file says\.\n$/)
    t.same(await secretsWork(latchkey, { secret } as never, 'posts'), {
      status: 200,
      active: true,
      scope: 'posts:read',
    })
    for (const name of ['posts.client-secret', 'of_posts.backup.token']) {
      t.equal((await stat(join(folder, name))).mode & 0o777, 0o600)
      t.notOk((done.stdout + done.stderr).includes(await secret(name)), 'no secret is shown')
    }

    t.match(await run('--yes'), { code: 0, stdout: 'Nothing to do: 4 as the file says.\n' })
    const again = JSON.parse((await run('--plan', '--json')).stdout)
    t.match(again, { changed: false, applied: true })
    t.same(Object.keys(again.steps[0]), [
      'action',
      'kind',
      'name',
      'subject',
      'id',
      'state',
      'changes',
      'secretFile',
      'notes',
    ])
    t.equal((await run('--plan', '--quiet')).stdout, '')
  })

  whole.test('what differs is changed, and nothing else', async (t) => {
    const { apply, run } = await applying(t, url, admin)
    const file = fileOf('shop')
    await apply(file)
    const [service, policy, token] = [file.services[0], file.trustPolicies[0], file.tokens[0]]
    Object.assign(service, {
      baseUrl: 'https://new.example.com',
      checksIp: true,
      jobs: [{ job: 'Sell', scopes: ['shop:write'] }],
    })
    service.scopes[0].title = 'Look'
    Object.assign(policy, {
      maxLifetimeMinutes: 5,
      conditions: { ...policy.conditions, ref: 'refs/heads/main' },
    })
    Object.assign(token, { description: 'see the wiki', ipRestriction: '203.0.113.9' })
    const done = await apply(file)
    t.same(actionsOf(done), [
      'change service shop',
      'change scopes shop',
      'change trust policy shop deploys',
      'change token backup',
    ])
    t.same(
      done.steps.map(({ changes }: { changes: { field: string }[] }) => changes.map(({ field }) => field)),
      [
        ['baseUrl', 'checksIp'],
        ['scopes shop:read', 'jobs Sell'],
        ['conditions', 'maxLifetimeMinutes'],
        ['ipRestriction', 'description'],
      ],
      'each field',
    )
    t.equal((await run('--plan', '--quiet')).stdout, '')
    const { body } = await call('GET', '/api/v1/services/shop/scopes')
    t.match(body, {
      presets: [{ id: 'read-only' }],
      jobs: [{ job: 'Sell' }],
      scopes: [{ title: 'Look' }, { name: 'shop:write' }],
    })
    const made = (await call('GET', `/api/v1/trust-policies/${done.steps[2].id}`)).body
    t.match(made.conditions, {
      event_name: ['push', 'schedule', 'workflow_dispatch', 'release', 'deployment'],
      ref: 'refs/heads/main',
    })
  })

  whole.test('what is left out of the file is left alone', async (t) => {
    const { apply } = await applying(t, url, admin)
    const file = fileOf('left')
    await apply(file)
    const { groups, scopes, presets: _presets, ...service } = file.services[0]
    const less = { services: [{ ...service, groups, scopes: scopes.slice(0, 1) }], tokens: [] }
    t.same(actionsOf(await apply(less)), [])
    const { body } = await call('GET', '/api/v1/services/left/scopes')
    t.match(body, { scopes: [{ name: 'left:read' }, { name: 'left:write' }], presets: [{ id: 'read-only' }] })
    const { expireAt: _end, ...policy } = file.trustPolicies[0]
    t.same(actionsOf(await apply({ trustPolicies: [policy] })), [], 'a field, too')
    t.same(actionsOf(await apply({})), [])
    t.same(actionsOf(await apply(file)), [], 'all of it is still there')
  })

  whole.test('--prune removes what is not in the file, of the kinds that are in it, and asks', async (t) => {
    const other = await startLatchkey(t, 'pglite')
    other.clock.now = Date.now()
    const { apply, run, write } = await applying(t, other.url, other.admin)
    const [one, two] = [fileOf('one'), fileOf('two')]
    const both = {
      services: [...one.services, ...two.services],
      trustPolicies: [...one.trustPolicies, ...two.trustPolicies],
      tokens: [...one.tokens, { ...two.tokens[0], subject: 'of_one', name: 'other' }],
    }
    await apply(both)
    await provision(other, { name: 'by hand', subject: 'somebody', type: 'service', scopes: [] })
    one.services[0].scopes.pop()
    one.trustPolicies[0].scopes = ['one:read']
    t.same(actionsOf(await apply({ services: one.services })), [], 'not without being told')
    await write(one)
    t.match(await run('--prune'), {
      code: 2,
      stderr:
        /\n- remove token other of of_one \(tok_\w+\)\n- remove trust policy two deploys \(pol_\w+\)\n- remove service two\n.*\n.*nobody to ask/,
    })
    const pruned = await apply(one, '--prune')
    t.same(actionsOf(pruned), [
      'change scopes one',
      'change trust policy one deploys',
      'remove token other',
      'remove trust policy two deploys',
      'remove service two',
    ])
    t.match(pruned.steps.at(-2).notes, [/0 tokens that came of pol_\w+ were revoked with it/])
    const services = (await other.call('GET', '/api/v1/services')).body
    t.same(
      services.map(({ id }: { id: string }) => id),
      ['latchkey', 'one'],
    )
    const live = (await other.call('GET', '/api/v1/tokens')).body.map(({ name }: { name: string }) => name)
    t.same(live.sort(), ['admin', 'backup', 'by hand'], 'neither others’ nor our own')
    t.same(actionsOf(await apply(one, '--prune')), [])
    t.same(
      actionsOf(await apply({ tokens: [{ name: 'x', subject: 'admin', scopes: [] }] }, '--prune')),
      ['create token x'],
      'not the one that does it',
    )
  })
})
