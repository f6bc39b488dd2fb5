// `latchkey catalog publish` and `diff` as programs: what changes is told route by route, and the exit code says how it went.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createCli } from '../helpers/cli.ts'
import { registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { documentOf, operation, publisher, samples } from '../helpers/samples.ts'

const file = (name: string) => fileURLToPath(new URL(`../../openapi/samples/${name}`, import.meta.url))

t.test('publishing', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  await registerPosts(latchkey)
  await latchkey.call('PUT', '/api/v1/services/posts/scopes', samples.postsScopes)
  const token = await publisher(latchkey, 'posts')
  const signedIn = (t: Test) => createCli(t, { LATCHKEY_URL: latchkey.url, LATCHKEY_TOKEN: token })
  const posts = ['--service', 'posts']
  const members = ['service', 'changed', 'dryRun', 'digest', 'publishedAt', 'endpoints', 'diff', 'problems']

  whole.test(
    'a dry run says what would change, then it is published, and is the same ever after',
    async (t) => {
      const cli = await signedIn(t)
      const document = file('posts.openapi.yaml')
      const dry = await cli.json(['catalog', 'publish', document, ...posts, '--dry-run'])
      t.same(Object.keys(dry), members)
      t.match(dry, {
        service: 'posts',
        changed: true,
        dryRun: true,
        publishedAt: null,
        endpoints: 18,
        problems: [],
      })
      t.match(await cli.run(['catalog', 'diff', document, ...posts]), {
        code: 1,
        stderr: '',
        stdout: /^\+ POST \/v1\/posts {2}createPost {2}both posts:write$/m,
      })
      const published = await cli.run(['catalog', 'publish', document, ...posts])
      t.match(published, {
        code: 0,
        stderr: '',
        stdout: /^Published 18 endpoints of posts: 18 added, 0 removed, 0 changed/m,
      })
      t.match(await cli.run(['catalog', 'publish', document, ...posts]), {
        code: 0,
        stdout: /^Nothing changes: posts has published this very document \(sha256:\w+\)\.\n$/,
      })
      const again = await cli.json(['catalog', 'publish', document, ...posts])
      t.same(Object.keys(again), members)
      t.match(again, {
        changed: false,
        dryRun: false,
        digest: dry.digest,
        publishedAt: String,
        diff: null,
        problems: [],
      })
      t.equal(
        (await cli.run(['catalog', 'publish', document, ...posts, '--quiet'])).stdout,
        `${dry.digest}\n`,
      )
      t.same(await cli.run(['catalog', 'diff', document, ...posts]), { code: 0, stdout: '', stderr: '' })
      t.match(await cli.json(['catalog', 'diff', document, ...posts]), { changed: false })
    },
  )

  whole.test('a change is told route by route, from stdin and as JSON too', async (t) => {
    const cli = await signedIn(t)
    const before = documentOf({
      '/v1/posts': {
        get: operation(['posts:read'], { operationId: 'listPosts' }),
        post: operation(['posts:write'], { operationId: 'createPost' }),
      },
      '/v1/old': { get: operation(['posts:read'], { operationId: 'listOld' }) },
    })
    const input = JSON.stringify(before)
    t.match(await cli.run(['catalog', 'publish', '-', ...posts], { input }), { code: 0 })
    const after = documentOf({
      '/v1/posts': {
        get: operation([], { operationId: 'listPosts', summary: 'All of them' }),
        post: operation(['posts:write'], { operationId: 'createPost' }),
      },
      '/v1/new': { get: operation(['places:read'], { operationId: 'listNew' }) },
    })
    await writeFile(join(cli.folder, 'after.json'), JSON.stringify(after))
    const { code, stdout } = await cli.run(['catalog', 'diff', 'after.json', ...posts])
    t.equal(code, 1)
    t.match(stdout, /^\+ GET \/v1\/new {2}listNew {2}token places:read$/m)
    t.match(stdout, /^- GET \/v1\/old {2}listOld {2}token posts:read$/m)
    t.match(stdout, /^~ GET \/v1\/posts {2}access: token → public; scopes: posts:read → none; .*summary/m)
    t.notMatch(stdout, /createPost/)
    const yaml = await cli.run(['catalog', 'diff', '-', ...posts], { input: samples.posts })
    t.match(yaml, { code: 1, stdout: /^\+ PUT \/v1\/artifacts/m }, 'what is no JSON is YAML')
    const json = await cli.run(['catalog', 'diff', 'after.json', ...posts, '--json'])
    t.match(
      { code: json.code, body: JSON.parse(json.stdout) },
      { code: 1, body: { changed: true, dryRun: true } },
    )
  })

  whole.test(
    'what publishing would be refused for: 1 with all of it in a dry run, 1 with the first of it else',
    async (t) => {
      const cli = await signedIn(t)
      await writeFile(join(cli.folder, 'typo.yaml'), samples.posts.replace('posts:write', 'posts:wirte'))
      const dry = await cli.run(['catalog', 'publish', 'typo.yaml', ...posts, '--dry-run'])
      t.match(dry, {
        code: 1,
        stderr: '',
        stdout: /^! unknown-scope: .*Did you mean "posts:write"\?\nPublishing would be refused for this\.$/m,
      })
      const asJson = await cli.run(['catalog', 'publish', 'typo.yaml', ...posts, '--dry-run', '--json'])
      t.equal(asJson.code, 1)
      t.match(JSON.parse(asJson.stdout), { dryRun: true, problems: [{ code: 'unknown-scope' }] })
      const real = await cli.run(['catalog', 'publish', 'typo.yaml', ...posts])
      t.match(real, { code: 1, stdout: '', stderr: /Did you mean "posts:write".*\(unknown-scope, request / })
    },
  )

  whole.test('7: another document is published than --if-match says; with or without quotes', async (t) => {
    const cli = await signedIn(t)
    const document = file('posts.openapi.yaml')
    const { digest } = await cli.json(['catalog', 'publish', document, ...posts])
    const ifMatch = (value: string) =>
      cli.run(['catalog', 'publish', document, ...posts, '--if-match', value])
    for (const value of [digest, `"${digest}"`, '*']) t.match(await ifMatch(value), { code: 0 }, value)
    t.match(await ifMatch('sha256:other'), { code: 7, stdout: '', stderr: /precondition-failed/ })
    t.match(await cli.run(['catalog', 'publish', document, ...posts, '--dry-run', '--if-match', 'x']), {
      code: 7,
    })
  })

  whole.test('7: another service takes the same requests', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: latchkey.url, LATCHKEY_TOKEN: latchkey.admin })
    for (const id of ['posts', 'rival']) {
      if (id === 'rival') await latchkey.call('POST', '/api/v1/services', { id, name: id })
      await latchkey.call('PATCH', `/api/v1/services/${id}`, { baseUrl: 'https://api.example.com' })
    }
    await cli.run(['catalog', 'publish', file('posts.openapi.yaml'), ...posts])
    const input = JSON.stringify(
      documentOf({ '/v1/posts': { get: operation(['posts:read'], { operationId: 'mine' }) } }),
    )
    const refused = await cli.run(['catalog', 'publish', '-', '--service', 'rival'], { input })
    t.match(refused, { code: 7, stdout: '', stderr: /\(conflict, request / })
  })

  whole.test('diff tells trouble from a difference', async (t) => {
    const cli = await signedIn(t)
    const broken = await cli.run(['catalog', 'diff', '-', ...posts], { input: '{' })
    t.match(broken, { code: 2, stdout: '', stderr: /not JSON.*\n.*Mend the document/ })
    t.match(await cli.run(['catalog', 'diff', 'nowhere.yaml', ...posts]), {
      code: 2,
      stderr: /cannot be read \(ENOENT\)/,
    })
    t.match(
      await cli.run(['catalog', 'diff', '-', '--service', 'none'], {
        input: '{}',
        env: { LATCHKEY_TOKEN: latchkey.admin },
      }),
      { code: 6 },
    )
    t.match(await cli.run(['catalog', 'diff', '-', '--service', 'other'], { input: '{}' }), { code: 5 })
    t.match(await cli.run(['catalog', 'diff', '-', ...posts], { input: '{}', env: { LATCHKEY_TOKEN: '' } }), {
      code: 4,
    })
    const elsewhere = { input: '{}', env: { LATCHKEY_TOKEN: latchkey.admin } }
    t.match(
      await cli.run(['catalog', 'diff', '-', '--service', '..'], elsewhere),
      { code: 6 },
      'no other path',
    )
    t.match(await cli.run(['catalog', 'diff', '-']), { code: 2, stderr: /--service/ })
    const both = await cli.run(['catalog', 'diff', '-', ...posts, '--token-stdin'], { input: token })
    t.match(both, { code: 2, stderr: /cannot both come from stdin/ })
  })
})
