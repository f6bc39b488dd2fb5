// A CI job at the command line: exchange and revoke with the identities of GitHub, of GitLab and of any issuer, and the
// trust policies by which it is given a token. Nothing of it shows in a log.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { githubClaims, gitlabClaims, startCiIssuer } from '../helpers/ci-issuer.ts'
import { createCli } from '../helpers/cli.ts'
import { startGithubTokens } from '../helpers/github.ts'
import { basic, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

t.test('ci', async (whole) => {
  const issuer = await startCiIssuer(whole, '/_services/token')
  const latchkey = await startLatchkey(whole, 'pglite', {
    LATCHKEY_INTERNAL_ISSUERS: new URL(issuer.url).origin,
  })
  const { url, admin, clock } = latchkey
  clock.now = Date.now()
  const posts = await registerPosts(latchkey)
  const audience = 'https://tokens.example.com'
  const conditions = { repository_id: '724513876', repository_owner_id: '9919' }
  const byFlags = [
    ...['ci', 'trust', 'add', '--name', 'site', '--issuer', issuer.url, '--audience', audience],
    ...['--condition', 'repository_id=724513876', '--condition', 'repository_owner_id=9919'],
    ...['--scope', 'posts:read,posts:write', '--max-minutes', '30', '--subject', 'ci_site'],
  ]
  const signedIn = (t: Test) => createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
  const inJob = (t: Test, more: Record<string, string> = {}) =>
    createCli(t, { LATCHKEY_URL: url, CI: 'true', ...more })
  const introspect = async (token: string) =>
    (await latchkey.form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body
  const jwtOf = (more = {}) => issuer.sign(githubClaims(issuer.url, audience, clock.now, more))
  const policy = (await (await signedIn(whole)).json(byFlags)).policy

  whole.test('a job of GitHub’s asks who it is by itself, and stdout has the secret alone', async (t) => {
    const github = await startGithubTokens(t, issuer, () => clock.now)
    const cli = await inJob(t, { ...github.env, GITHUB_ACTIONS: 'true' })
    const asked = [
      'ci',
      'exchange',
      '--audience',
      audience,
      '--scope',
      'posts:read',
      '--service',
      'posts',
      '--ttl',
      '10m',
    ]
    const { code, stdout, stderr } = await cli.run([...asked, '--quiet'])
    t.equal(code, 0, stderr)
    t.match(stdout, /^lk_tmp_[0-9A-Za-z]{36}\n$/)
    const secret = stdout.trim()
    t.equal(
      stderr,
      `::add-mask::${github.given[0]}\n::add-mask::${secret}\n`,
      'both are masked, by what the runner reads too',
    )
    const facts = await introspect(secret)
    t.match(facts, { active: true, scope: 'posts:read', aud: ['posts'], sub: 'ci_site' })
    t.equal(facts.exp - facts.iat, 600)

    const { token } = await cli.json(asked)
    t.same(Object.keys(token), ['type', 'scopes', 'expireAt', 'token'])
    t.match(token, { type: 'federated', scopes: ['posts:read'], token: /^lk_tmp_/ })
    t.ok(Math.abs(Date.parse(token.expireAt) - Date.now() - 600_000) < 60_000)
    t.match(await cli.run(asked), {
      code: 0,
      stdout: /^scopes: +posts:read\nexpires: +20\S+ \S+Z\nsecret: +lk_tmp_/,
    })
    t.equal(new Set(github.given).size, 3, 'each with an identity of its own')
  })

  whole.test('elsewhere the identity comes by variable, by file or by stdin', async (t) => {
    const cli = await inJob(t)
    const file = join(cli.folder, 'job.jwt')
    await writeFile(file, `${await jwtOf()}\n`)
    const ways = [
      { args: ['--jwt-file', file] },
      { args: ['--jwt-env', 'MY_ID_TOKEN'], env: { MY_ID_TOKEN: await jwtOf() } },
      { args: [], input: `${await jwtOf()}\n` },
    ]
    for (const { args, ...how } of ways) {
      const { code, stdout, stderr } = await cli.run(['ci', 'exchange', '--quiet', ...args], how)
      t.match({ code, stdout, stderr }, { code: 0, stdout: /^lk_tmp_\w+\n$/, stderr: '' }, args.join(' '))
      t.match(
        await introspect(stdout.trim()),
        { active: true, scope: 'posts:read posts:write' },
        'all there is',
      )
    }
  })

  whole.test('nothing that lies around is sent with it: neither login nor LATCHKEY_TOKEN', async (t) => {
    const cli = await inJob(t, { LATCHKEY_TOKEN: 'lk_pat_nonsense', LATCHKEY_TOKEN_FILE: '/nowhere' })
    const { code, stdout } = await cli.run(['ci', 'exchange', '--quiet'], { input: await jwtOf() })
    t.match({ code, stdout }, { code: 0, stdout: /^lk_tmp_/ })
  })

  whole.test(
    'a job that is not trusted is told what it is, not why; and what was handed over is not shown',
    async (t) => {
      const cli = await inJob(t)
      const cases: [what: string, input: string, args: string[], code: number, says: RegExp][] = [
        [
          'another repository',
          await jwtOf({ repository_id: '1' }),
          [],
          5,
          /not trusted.*\n.*repository_id=1, .*latchkey ci trust test/,
        ],
        [
          'an unknown issuer',
          await issuer.sign(gitlabClaims('https://gitlab.com', audience, clock.now)),
          [],
          5,
          /not trusted.*\n.*iss=https:\/\/gitlab\.com, .*project_id=20/,
        ],
        ['another scope', await jwtOf(), ['--scope', 'posts:delete'], 5, /Nothing of that scope is given/],
        ['another service', await jwtOf(), ['--service', 'billing'], 5, /No token for that audience/],
        ['no JWT', 'eyJnonsense', [], 1, /is no JWT/],
        ['nothing at all', '', [], 4, /stdin is empty.*\n.*--jwt-env MY_ID_TOKEN/],
        ['no duration', '', ['--ttl', 'soon'], 2, /--ttl "soon" is no duration/],
        ['an empty variable', '', ['--jwt-env', 'MY_ID_TOKEN'], 4, /MY_ID_TOKEN is not set/],
        ['an audience that is settled', '', ['--audience', 'x'], 2, /Outside of GitHub Actions/],
        ['an audience that is settled', '', ['--audience', 'x', '--jwt-env', 'X'], 2, /cannot be used with/],
      ]
      for (const [what, input, args, code, says] of cases) {
        const ended = await cli.run(['ci', 'exchange', ...args], { input })
        t.match(ended, { code, stdout: '', stderr: says }, what)
        if (input !== '') t.notOk(ended.stderr.includes(input))
      }
      const once = await jwtOf()
      t.match(await cli.run(['ci', 'exchange', '--quiet'], { input: once }), { code: 0 })
      t.match(
        await cli.run(['ci', 'exchange', '--quiet'], { input: once }),
        { code: 5, stdout: '' },
        'a second time',
      )
      const json = await cli.run(['ci', 'exchange', '--json'], { input: await jwtOf({ repository_id: '1' }) })
      t.match(JSON.parse(json.stderr), {
        error: { code: 'invalid_request', exitCode: 5, whatToDo: /repository_id=1/ },
      })
    },
  )

  whole.test('a job of GitHub’s that is given no identity learns which permission it lacks', async (t) => {
    const cli = await inJob(t, { GITHUB_ACTIONS: 'true' })
    t.match(await cli.run(['ci', 'exchange']), {
      code: 5,
      stdout: '',
      stderr: /permissions: \{ id-token: write \}/,
    })
    const github = await startGithubTokens(t, issuer, () => clock.now)
    github.failing.push(500, 403)
    const asking = await inJob(t, { ...github.env, GITHUB_ACTIONS: 'true' })
    t.match(await asking.run(['ci', 'exchange']), { code: 8, stderr: /no identity: it answered 500/ })
    t.match(await asking.run(['ci', 'exchange']), { code: 5, stderr: /no identity: it answered 403/ })
    const nobody = { ...github.env, ACTIONS_ID_TOKEN_REQUEST_URL: 'http://127.0.0.1:9/?api-version=2.0' }
    t.match(await (await inJob(t, nobody)).run(['ci', 'exchange']), { code: 8, stderr: /cannot be reached/ })
  })

  whole.test('a job ends its token by the secret it has, and to do so twice is no error', async (t) => {
    const cli = await inJob(t)
    const exchanged = await cli.run(['ci', 'exchange', '--quiet', '--service', 'posts'], {
      input: await jwtOf(),
    })
    const secret = exchanged.stdout.trim()
    const env = { LATCHKEY_TOKEN: secret }
    t.same(await cli.json(['ci', 'revoke'], { env }), { revoked: { wasActive: true } })
    t.same(await introspect(secret), { active: false })
    t.same(await cli.json(['ci', 'revoke'], { env }), { revoked: { wasActive: false } })
    t.match(await cli.run(['ci', 'revoke'], { env }), { code: 0, stdout: 'The token was over already.\n' })
    t.match(await cli.run(['ci', 'revoke']), { code: 4 }, 'nothing to end')
    t.match(await cli.run(['ci', 'revoke'], { env: { ...env, LATCHKEY_URL: 'http://127.0.0.1:9' } }), {
      code: 8,
    })
  })

  whole.test('ci revoke does not end a login that was not meant', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    await cli.run(['login', '--with-token'], { input: admin })
    t.match(await cli.run(['ci', 'revoke']), { code: 2, stderr: /that of the login is not meant/ })
    t.match(await cli.run(['status']), { code: 0 })
  })

  whole.test('a policy is made by options or by a file, listed, shown and removed', async (t) => {
    const cli = await signedIn(t)
    t.match(policy, { id: /^pol_/, provider: 'github', audience, scopes: ['posts:read', 'posts:write'] })
    t.match(policy, { subject: 'ci_site', maxLifetimeMinutes: 30, conditions, maker: 'admin' })
    const yaml = `name: from a file\nissuer: ${issuer.url}\nscopes: ["posts:read"]\nconditions:\n  repository_id: "1"\n  repository_owner_id: "2"\n  ref: [refs/heads/main, refs/tags/*]\n`
    const added = await cli.run(['ci', 'trust', 'add', '--file', '-', '--quiet'], { input: yaml })
    t.match(added, { code: 0, stdout: /^pol_\w+\n$/ })
    const id = added.stdout.trim()
    const { policies, nextCursor } = await cli.json(['ci', 'trust', 'list', '--limit', '1'])
    t.match(policies, [{ id, name: 'from a file' }])
    const rest = await cli.json(['ci', 'trust', 'list', '--cursor', nextCursor])
    t.match(rest, { policies: [{ id: policy.id }], nextCursor: null })
    t.match(await cli.run(['ci', 'trust', 'list']), {
      code: 0,
      stdout: /^ID +NAME +ISSUER.*\npol_\w+ +from a file/,
    })
    t.match(await cli.run(['ci', 'trust', 'list', '--maker', 'nobody']), {
      code: 0,
      stdout: 'No trust policies.\n',
    })
    t.same((await cli.json(['ci', 'trust', 'show', policy.id])).policy, policy)
    t.match(await cli.run(['ci', 'trust', 'show', id]), {
      code: 0,
      stdout: /^ {2}ref: +refs\/heads\/main or refs\/tags\/\*$/m,
    })

    t.match(
      await cli.run(['ci', 'trust', 'remove', id]),
      { code: 2, stderr: /--yes/ },
      'nobody is there to be asked',
    )
    t.match(await cli.json(['ci', 'trust', 'remove', id, '--yes']), { removed: { id, revokedTokens: 0 } })
    t.match(await cli.run(['ci', 'trust', 'show', id]), { code: 6, stderr: /There is no such trust policy/ })
  })

  whole.test(
    'a value given twice for a claim is "or that"; what is missing or too wide is said',
    async (t) => {
      const cli = await signedIn(t)
      const more = [
        '--condition',
        'event_name=push',
        '--condition',
        'event_name=schedule',
        '--ip',
        '10.0.0.0/8',
      ]
      const { policy: made } = await cli.json([...byFlags, ...more, '--team', 'team_a', '--service', 'posts'])
      t.match(made, {
        conditions: { event_name: ['push', 'schedule'] },
        team: 'team_a',
        services: ['posts'],
        ipRestriction: '10.0.0.0/8',
      })
      await cli.run(['ci', 'trust', 'remove', made.id, '--yes'])
      t.match(await cli.run(['ci', 'trust', 'add', '--name', 'x']), {
        code: 2,
        stderr: /Missing: --issuer, --condition, --scope/,
      })
      t.match(await cli.run([...byFlags, '--file', 'x']), { code: 2, stderr: /cannot be used with/ })
      t.match(await cli.run(['ci', 'trust', 'add', '--file', '-'], { input: '{' }), {
        code: 2,
        stderr: /neither JSON nor YAML/,
      })
      t.match(await cli.run([...byFlags, '--condition', 'repository']), {
        code: 2,
        stderr: /not of the form key=value/,
      })
      const wide = await cli.run([...byFlags, '--condition', 'event_name=pull_request_target'])
      t.match(wide, { code: 1, stderr: /“pull_request_target” runs for people from outside/ })
    },
  )

  whole.test(
    'the tester says claim by claim why a token matches, with exit 3 when it does not',
    async (t) => {
      const cli = await signedIn(t)
      const test = ['ci', 'trust', 'test', policy.id]
      const jwt = await jwtOf()
      const good = await cli.run(test, { input: jwt })
      t.match(good, { code: 0, stdout: /^ok +repository_id +724513876 +724513876 +-$/m })
      t.match(good.stdout, /\nIt matches\.\n$/)
      t.match(await cli.run(['ci', 'exchange', '--quiet'], { input: jwt }), { code: 0 }, 'it was not used up')

      const other = await jwtOf({ repository_id: '1', event_name: 'release' })
      const bad = await cli.run(test, { input: other })
      t.match(bad, { code: 3, stdout: /^NO +repository_id +724513876 +1 +It is another value\.$/m })
      t.match(bad.stdout, /\nIt does not match\.\n$/)
      t.notOk((bad.stdout + bad.stderr).includes(other))
      t.same(
        (await cli.run([...test, '--quiet'], { input: other })).stdout,
        'repository_id\n',
        'what is wrong',
      )
      const json = await cli.run([...test, '--json'], { input: other })
      t.equal(json.code, 3)
      t.match(JSON.parse(json.stdout), {
        matches: false,
        conditions: [{ ok: true }, { claim: 'repository_id', ok: false }, { ok: true }],
      })

      const file = join(cli.folder, 'claims.json')
      await writeFile(file, JSON.stringify(githubClaims(issuer.url, audience, clock.now)))
      t.match(await cli.run([...test, '--claims', file]), { code: 0 })
      await writeFile(file, '{')
      t.match(await cli.run([...test, '--claims', file]), { code: 2, stderr: /is not JSON/ })
      t.match(await cli.run([...test, '--claims', file, '--jwt-env', 'X']), {
        code: 2,
        stderr: /cannot be used with/,
      })
      t.match(await cli.run(['ci', 'trust', 'test', 'pol_none'], { input: jwt }), { code: 6 })
    },
  )
})
