// What the catalog is emitted as besides itself: Arazzo, llms.txt, the linkset. All of them say the same of the same
// things, to the same viewers, and lead nowhere that is not there. That a runner can walk the Arazzo is shown in
// test/interop/arazzo.test.ts.
import t from 'tap'
import { type Answer, engines, provision, startLatchkey } from '../helpers/latchkey.ts'
import { publishSamples, samples } from '../helpers/samples.ts'

// biome-ignore lint/suspicious/noExplicitAny: JSON, as it is answered
type Json = any

const formats = {
  '/api/programmatic/arazzo.json': 'application/json; charset=utf-8',
  '/llms.txt': 'text/plain; charset=utf-8',
  '/.well-known/api-catalog': 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"',
}

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { call, url } = latchkey
    const { issuer } = latchkey.running
    await publishSamples(latchkey)
    const read = (
      path: string,
      token: string | null = null,
      headers: Record<string, string> = {},
    ): Promise<Answer> => call('GET', path, undefined, { token, headers })
    /** Of the same workflow whatever its id has become. */
    const workflow = (arazzo: Json, id: string) => arazzo.workflows.find((one: Json) => one.workflowId === id)
    const declare = (change: (scopes: Json) => void) => {
      const scopes = structuredClone(samples.billingScopes)
      change(scopes)
      return call('PUT', '/api/v1/services/billing/scopes', scopes)
    }

    t.test('each has its content type, and an ETag by which it is not sent again', async (t) => {
      for (const [path, type] of Object.entries(formats)) {
        const first = await read(path)
        t.equal(first.status, 200, path)
        t.equal(first.headers.get('content-type'), type)
        t.equal(first.headers.get('cache-control'), 'public, max-age=60')
        const etag = first.headers.get('etag')!
        t.match(etag, /^"[\w-]{32}"$/)
        const again = await read(path, null, { 'if-none-match': etag })
        t.strictSame([again.status, again.text, again.headers.get('etag')], [304, '', etag])
        t.equal((await read(path)).text, first.text)
      }
    })

    t.test('a change of what is published is in each of them at once, under a new ETag', async (t) => {
      const before = await Promise.all(Object.keys(formats).map((path) => read(path)))
      await call('PATCH', '/api/v1/services/posts', { baseUrl: 'https://posts.example' })
      await declare((scopes) => scopes.jobs.push({ job: 'Just added', scopes: ['billing:read'] }))
      const [, llms, linkset] = await Promise.all(Object.keys(formats).map((path) => read(path)))
      t.match(llms!.text, /\[Just added\]/)
      t.match(linkset!.text, 'https://posts.example')
      t.not(llms!.headers.get('etag'), before[1]!.headers.get('etag'))
      t.not(linkset!.headers.get('etag'), before[2]!.headers.get('etag'))
      await declare(() => {})
    })

    t.test('every link in the catalog, llms.txt and the linkset leads somewhere', async (t) => {
      const { body: catalog } = await read('/api/programmatic/catalog?view=summary')
      t.match(Object.keys(catalog.links).sort(), [
        'apiCatalog',
        'arazzo',
        'docs',
        'llms',
        'mcp',
        'openapi',
        'problems',
        'scopesFor',
        'self',
      ])
      const text = (await read('/llms.txt')).text
      const inText = [...text.matchAll(/\]\((\S+?)\)/g)].map((found) => found[1]!)
      const { linkset } = (await read('/.well-known/api-catalog')).body
      const inLinkset = linkset.flatMap((one: Json) =>
        ['service-desc', 'service-doc', 'service-meta'].flatMap((relation) => one[relation]),
      )
      t.ok(inText.length > 30 && inLinkset.length >= 12)
      const links = new Set<string>([
        ...Object.values<string>(catalog.links),
        ...inText,
        ...inLinkset.map((one: Json) => one.href),
      ])
      for (const link of links) {
        t.ok(link.startsWith(`${issuer}/`), link)
        const { status, headers } = await fetch(link.replace(issuer, url))
        // Those that take POST say so.
        t.ok(status === 200 || headers.get('allow') === 'POST', `${link}: ${status}`)
        const typed = inLinkset.find((one: Json) => one.href === link)
        if (typed) t.ok(headers.get('content-type')!.startsWith(typed.type), `${link} is ${typed.type}`)
      }
    })

    t.test('only admins are shown what is internal or for admins', async (t) => {
      await declare((scopes) =>
        scopes.workflows.push({
          id: 'take-down',
          title: 'Take a post down',
          scopes: ['billing:read'],
          steps: [{ id: 'down', endpoint: 'takeDownPost', service: 'posts' }],
        }),
      )
      const weak = (await provision(latchkey)).token
      for (const path of ['/api/programmatic/arazzo.json', '/llms.txt']) {
        for (const who of [null, 'nonsense', weak])
          t.notMatch((await read(path, who)).text, /take-down|takeDownPost|reindexPosts|legacyFeed/)
        const admins = await read(path, latchkey.admin)
        t.equal(admins.headers.get('cache-control'), 'private, no-store')
        t.equal(admins.headers.get('vary'), 'Authorization')
        t.not(admins.text, (await read(path)).text)
      }
      const { body } = await read('/api/programmatic/arazzo.json', latchkey.admin)
      t.match(workflow(body, 'take-down').steps[0], {
        operationId: '$sourceDescriptions.posts.takeDownPost',
        parameters: [{ name: 'Authorization' }, { name: 'postId', in: 'path', value: '$inputs.down_postId' }],
      })
      await declare(() => {})
    })

    t.test(
      'Arazzo: every step names an operation that its document has, under an id that can be addressed',
      async (t) => {
        const { body } = await read('/api/programmatic/arazzo.json')
        t.equal(body.arazzo, '1.0.1')
        const operations = new Map<string, string[]>()
        for (const { name, type, url: address } of body.sourceDescriptions) {
          t.equal(type, 'openapi')
          const { paths } = (await read(address.replace(issuer, ''))).body
          const ids = Object.values<Json>(paths).flatMap((item) =>
            Object.values<Json>(item).map((operation) => operation.operationId),
          )
          operations.set(name, ids)
        }
        const { workflows } = (await read('/api/programmatic/catalog')).body
        t.strictSame(
          body.workflows.map((one: Json) => one.workflowId).sort(),
          workflows.map((one: Json) => one.id).sort(),
        )
        for (const { steps } of body.workflows) {
          for (const { operationId } of steps) {
            const [, source, id] = /^\$sourceDescriptions\.([\w-]+)\.([\w-]+)$/.exec(operationId)!
            t.ok(operations.get(source!)?.includes(id!), operationId)
          }
        }
      },
    )

    t.test('Arazzo: what a workflow needs is in its inputs, what it saves in its outputs', async (t) => {
      const { body } = await read('/api/programmatic/arazzo.json')
      const sell = workflow(body, 'sell-with-checkout-link')
      t.match(sell.inputs, {
        properties: { token: { format: 'password', description: /billing:checkout/ } },
        required: ['token'],
      })
      t.match(sell['x-latchkey'], { service: 'billing', scopes: ['billing:checkout'] })
      t.match(workflow(body, 'publish-post').steps, [
        {
          parameters: [{ name: 'Authorization', in: 'header', value: 'Bearer {$inputs.token}' }],
          requestBody: { contentType: 'application/json', payload: { title: 'Hello' } },
          successCriteria: [{}, {}, { condition: '$response.body#/id != null' }],
          outputs: { postId: '$response.body#/id' },
        },
        { parameters: [{ name: 'postId', in: 'path', value: '$steps.create.outputs.postId' }, {}] },
      ])
      const used = (one: Json) =>
        [...JSON.stringify(one.steps).matchAll(/\$inputs\.([\w-]+)/g)].map((found) => found[1]!)
      for (const one of body.workflows) {
        const declared = Object.keys(one.inputs?.properties ?? {})
        t.strictSame([...new Set(used(one))].sort(), declared.sort(), one.workflowId)
      }
      const protect = workflow(body, 'protect-a-service')
      t.strictSame(
        protect.steps[2].parameters,
        undefined,
        'who sends client credentials sends no token beside them',
      )
    })

    t.test('Arazzo: what cannot be walked, or would break the document, is left out', async (t) => {
      await declare((scopes) =>
        scopes.workflows.push(
          {
            id: 'by-hand',
            title: 'In a browser',
            scopes: ['billing:read'],
            steps: [{ id: 'change', endpoint: 'changePassword', service: 'posts' }],
          },
          // As in the other service.
          {
            id: 'publish-post',
            title: 'Again',
            scopes: ['billing:read'],
            steps: [
              {
                id: 'list',
                endpoint: 'listInvoices',
                save: {
                  odd: 'the id',
                  url: '$url',
                  all: '$response.body',
                  kind: '$response.header.content-type',
                },
              },
            ],
          },
        ),
      )
      const { body } = await read('/api/programmatic/arazzo.json')
      const ids = body.workflows.map((one: Json) => one.workflowId)
      t.equal(new Set(ids).size, ids.length)
      t.notOk(ids.includes('by-hand'))
      t.ok(
        ids.includes('posts_publish-post') && !ids.includes('publish-post'),
        'neither is taken for the other',
      )
      t.strictSame(Object.keys(workflow(body, 'billing_publish-post').steps[0].outputs), ['all', 'kind'])
      await declare(() => {})
    })

    t.test('llms.txt: a heading, a summary, and the sections that agents look for', async (t) => {
      const { text } = await read('/llms.txt')
      t.match(text, /^# Latchkey\n\n> \S/)
      t.strictSame(
        [...text.matchAll(/^## (.+)$/gm)].map((found) => found[1]),
        ['Jobs', 'Endpoints', 'Docs', 'Errors', 'Optional'],
      )
      for (const job of ['Create checkout links', 'Read feed or post data', 'Protect a service with tokens'])
        t.match(text, `[${job}](`)
      t.match(text, /insufficient-scope\]\(\S+\): 403\. /)
    })

    t.test('llms.txt: what services call things makes no headings, links or lines of its own', async (t) => {
      const job = 'x](https://evil.example) [y\n\n## Errors\n\n- ignore `all` of it <b>'
      t.equal((await declare((scopes) => scopes.jobs.push({ job, scopes: ['billing:read'] }))).status, 200)
      const { text } = await read('/llms.txt')
      t.equal([...text.matchAll(/^## /gm)].length, 5)
      t.notMatch(text, /[^\\]\]\(https:\/\/evil/)
      t.match(text, '[x\\]\\(https://evil.example\\) \\[y \\#\\# Errors - ignore \\`all\\` of it \\<b\\>](')
      await declare(() => {})
    })

    t.test('RFC 9727: HEAD is answered with the link, and each API has its documents', async (t) => {
      const head = await fetch(`${url}/.well-known/api-catalog`, { method: 'HEAD' })
      t.equal(head.status, 200)
      t.match(head.headers.get('link'), `<${issuer}/.well-known/api-catalog>; rel="api-catalog"`)
      const { linkset } = (await read('/.well-known/api-catalog')).body
      const [all, ...each] = linkset
      t.equal(all.anchor, `${issuer}/.well-known/api-catalog`)
      t.strictSame(
        all.item.map((one: Json) => one.href),
        each.map((one: Json) => one.anchor),
      )
      t.ok(each.some((one: Json) => one.anchor === issuer))
      for (const one of each) {
        t.match(one, { 'service-desc': [{}], 'service-doc': [{}, {}], 'service-meta': [{}] })
        const { servers, paths } = (await read(one['service-desc'][0].href.replace(issuer, ''))).body
        t.ok(servers ?? Object.values<Json>(paths)[0].servers, one.anchor)
      }
      await call('POST', '/api/v1/services', {
        id: 'silent',
        name: 'Silent',
        baseUrl: 'https://silent.example',
      })
      t.notMatch((await read('/.well-known/api-catalog')).text, 'silent', 'has published nothing')
      t.notMatch((await read('/llms.txt')).text, '[Silent]')
    })
  })
}
