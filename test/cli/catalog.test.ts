// `latchkey catalog …` and `latchkey scope …` as programs, on the sample product of model 2: what anybody may look for and
// export. Publishing is publish.test.ts.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCli } from '../helpers/cli.ts'
import { startLatchkey } from '../helpers/latchkey.ts'
import { publishSamples } from '../helpers/samples.ts'

t.test('what anybody may ask', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  await publishSamples(latchkey)
  const anybody = (t: Test) => createCli(t, { LATCHKEY_URL: latchkey.url })

  whole.test('search finds by words and by every filter, in each form', async (t) => {
    const cli = await anybody(t)
    const ids = async (...args: string[]) => {
      const { code, stdout } = await cli.run(['catalog', 'search', ...args, '--quiet'])
      t.equal(code, 0)
      return stdout.trim().split('\n').sort()
    }
    t.same(await ids('draft', 'post', '--service', 'posts', '--method', 'post'), [
      'createPost',
      'publishPost',
    ])
    t.same(await ids('--scope', 'posts:write', '--access', 'both', '--method', 'DELETE'), ['deletePost'])
    t.same(await ids('--job', 'create or update posts'), ['createPost', 'publishPost'])
    t.same(await ids('--workflow', 'publish-post'), ['createPost', 'publishPost'])
    const { endpoints } = await cli.json(['catalog', 'search', '--workflow', 'publish-post'])
    t.same(endpoints[0], {
      id: 'createPost',
      service: 'posts',
      method: 'POST',
      path: '/v1/posts',
      access: 'both',
      scopes: ['posts:write'],
      summary: 'Create a draft post',
    })
    const { stdout } = await cli.run(['catalog', 'search', '--workflow', 'publish-post'])
    t.match(
      stdout,
      /^ID +SERVICE +METHOD +PATH +ACCESS +SCOPES +SUMMARY\ncreatePost +posts +POST +\/v1\/posts +both/,
    )
    t.match(await cli.run(['catalog', 'search', 'no-such-word']), {
      code: 0,
      stdout: 'No endpoint is like that.\n',
    })
    t.same(await cli.json(['catalog', 'search', 'no-such-word']), { endpoints: [] })
    const wrong = await cli.run(['catalog', 'search', '--service', 'post'])
    t.match(wrong, { code: 1, stdout: '', stderr: /Did you mean "posts"/ })
  })

  whole.test('show says what to send, what comes back and what can go wrong', async (t) => {
    const cli = await anybody(t)
    const shown = await cli.json(['catalog', 'show', 'createCheckoutLink'])
    t.same(Object.keys(shown), ['endpoint', 'baseUrls', 'errors', 'workflows'])
    t.match(shown, {
      endpoint: { service: 'billing', method: 'POST', request: { example: { amount: 1900 } } },
      baseUrls: [/^https:/],
      workflows: [{ id: 'sell-with-checkout-link', service: 'billing' }],
    })
    t.ok(shown.errors.length > 0)
    for (const error of shown.errors) t.match(error, { code: /./, status: Number, whatToDo: /./ })
    const { stdout } = await cli.run(['catalog', 'show', 'createCheckoutLink'])
    t.match(stdout, /^id: +createCheckoutLink\nservice: +billing\ncall: +POST \/v1\/checkout-links$/m)
    t.match(stdout, /^scopes: +billing:checkout$/m)
    t.match(stdout, /^Send \(application\/json\), for example:\n {2}\{\n {4}"/m)
    t.match(stdout, /^ERROR +STATUS +WHAT TO DO$/m)
    t.match(await cli.run(['catalog', 'show', 'createPost', '--quiet']), { code: 0, stdout: 'createPost\n' })
    const unknown = await cli.run(['catalog', 'show', 'create'])
    t.match(unknown, { code: 6, stdout: '', stderr: /There is no endpoint "create".*\n.*createPost/ })
    t.match(await cli.run(['catalog', 'show', 'nothing-like-it']), {
      code: 6,
      stderr: /latchkey catalog search/,
    })
  })

  whole.test('jobs says what can be got done, and by which workflow', async (t) => {
    const cli = await anybody(t)
    const { jobs } = await cli.json(['catalog', 'jobs', '--service', 'billing'])
    t.match(
      jobs.find((one: { job: string }) => one.job === 'Create checkout links'),
      {
        service: 'billing',
        scopes: ['billing:checkout'],
        workflow: 'sell-with-checkout-link',
        endpoints: Array,
      },
    )
    for (const job of jobs)
      t.same(Object.keys(job).sort(), ['endpoints', 'job', 'scopes', 'service', 'workflow'])
    const { stdout } = await cli.run(['catalog', 'jobs'])
    t.match(stdout, /^JOB +SERVICE +WORKFLOW +SCOPES\n/)
    t.match(stdout, /^Create or update posts +posts +publish-post +posts:write$/m)
    const { stdout: names } = await cli.run(['catalog', 'jobs', '--quiet', '--service', 'posts'])
    t.match(names, /^Read feed or post data\n/)
  })

  whole.test('export gives each document as the server has it, to stdout or into a file', async (t) => {
    const cli = await anybody(t)
    const { body: openapi } = await latchkey.call('GET', '/api/programmatic/openapi.json', undefined, {
      token: null,
    })
    t.same(JSON.parse((await cli.run(['catalog', 'export', 'openapi'])).stdout), openapi)
    const wrapped = await cli.json(['catalog', 'export', 'openapi'])
    t.same(wrapped, { format: 'openapi', output: null, document: openapi })
    for (const [format, begins] of [
      ['arazzo', /^\{\n {2}"arazzo": "1\.0/],
      ['catalog', /^\{\n {2}"revision"/],
      ['llms', /^# Latchkey\n/],
    ] as const) {
      const { code, stdout } = await cli.run(['catalog', 'export', format, '--quiet'])
      t.equal(code, 0)
      t.match(stdout, begins)
      const written = await cli.run(['catalog', 'export', format, '--output', `${format}.txt`])
      t.match(written, { code: 0, stdout: `Written to ${format}.txt\n` })
      t.equal(await readFile(join(cli.folder, `${format}.txt`), 'utf8'), stdout)
    }
    const asJson = await cli.json(['catalog', 'export', 'llms', '--output', 'llms.txt'])
    t.same(asJson, { format: 'llms', output: 'llms.txt', document: null })
    t.match(await cli.run(['catalog', 'export', 'html']), { code: 2, stderr: /Allowed choices are openapi/ })
    const nowhere = await cli.run(['catalog', 'export', 'llms', '--output', 'no/such/folder'])
    t.match(nowhere, { code: 1, stderr: /cannot be written \(ENOENT\)/ })
  })

  whole.test('scope list and explain say what scopes let one do', async (t) => {
    const cli = await anybody(t)
    const { scopes } = await cli.json(['scope', 'list', '--service', 'billing'])
    t.same(
      scopes.find((one: { name: string }) => one.name === 'payouts:manage'),
      {
        name: 'payouts:manage',
        title: 'Start Stripe Connect onboarding, change payouts',
        description: null,
        service: 'billing',
        group: 'Billing',
        risk: 'high',
        implies: [],
        maxLifetimeDays: 30,
      },
    )
    const { stdout } = await cli.run(['scope', 'list'])
    t.match(stdout, /^SCOPE +SERVICE +GROUP +RISK +TITLE\n/)
    t.match(stdout, /^tokens:write +latchkey /m)
    t.match(
      (await cli.run(['scope', 'list', '--service', 'posts', '--quiet'])).stdout,
      /^posts:read\nposts:write\n/,
    )
    t.match(await cli.run(['scope', 'list', '--service', 'nobody']), {
      code: 1,
      stderr: /no service "nobody"/,
    })

    const explained = await cli.json(['scope', 'explain', 'posts:write'])
    t.match(explained, { scope: { name: 'posts:write', implies: ['posts:read'] } })
    const ids = explained.endpoints.map((one: { id: string }) => one.id)
    t.same(ids, ['createPost', 'deletePost', 'publishPost'])
    const people = await cli.run(['scope', 'explain', 'posts:write'])
    t.match(people.stdout, /^scope: +posts:write\n[\s\S]*^implies: +posts:read\n\nID +SERVICE/m)
    t.match(await cli.run(['scope', 'explain', 'posts:wirte']), {
      code: 6,
      stderr: /Did you mean "posts:write"/,
    })
  })

  whole.test('scope for prints the smallest set, one a line, and nothing else on stdout', async (t) => {
    const cli = await anybody(t)
    const stdoutOf = async (...args: string[]) => (await cli.run(['scope', 'for', ...args])).stdout
    t.equal(await stdoutOf('GET', '/v1/posts', 'post', '/v1/posts'), 'posts:write\n')
    t.equal(await stdoutOf('GET /v1/posts', 'POST /v1/checkout-links'), 'billing:checkout\nposts:read\n')
    t.equal(
      await stdoutOf('--job', 'Transfer money', '--job', 'Read places', '--quiet'),
      'places:read\ntransfers:manage\n',
    )
    t.equal(await stdoutOf('GET', '/api/v1/tokens', '--service', 'latchkey'), 'tokens:read\n')
    t.match(await cli.json(['scope', 'for', 'GET', '/v1/posts', '--job', 'Read places']), {
      scopes: ['places:read', 'posts:read'],
      endpoints: [{ id: 'listPosts', method: 'GET', path: '/v1/posts', scopes: ['posts:read'] }],
      jobs: [{ job: 'Read places', scopes: ['places:read'] }],
    })
    const none = await cli.run(['scope', 'for', 'PUT', '/v1/account/password'])
    t.match(none, {
      code: 0,
      stdout: '',
      stderr: /is not for tokens: it is browser-only\.\nNo scope is needed\.\n/,
    })
    for (const [args, says] of [
      [[], /Nothing is said/],
      [['GET'], /its path is missing/],
      [['/v1/posts'], /its path is missing/],
      [['GET', '/v1/posts', 'POST'], /After the method "POST"/],
    ] as const)
      t.match(await cli.run(['scope', 'for', ...args]), { code: 2, stdout: '', stderr: says })
    const unknown = await cli.run(['scope', 'for', 'GET', '/v1/post', '--job', 'Transfer mony'])
    t.match(unknown, {
      code: 1,
      stdout: '',
      stderr: /Did you mean "GET \/v1\/posts".*Did you mean "Transfer money"/,
    })
  })
})
