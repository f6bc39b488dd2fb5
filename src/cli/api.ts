// `latchkey api METHOD PATH`: any call of the API, for what has no command of its own. The body comes out as it came.
import type { Answer, Call } from '@latchkey/sdk/client'
import { Command, Option } from 'commander'
import { usage } from './failure.ts'
import { textOf } from './input.ts'
import { entriesOf, pairs } from './options.ts'
import { type Remote, remote } from './remote.ts'

type Options = { readonly field?: readonly string[]; readonly input?: string; readonly paginate?: true }

export const api = () =>
  remote<Options>(
    new Command('api')
      .description('Make any call of the API, as the catalog lists them')
      .argument('<method>', 'GET, POST, …')
      .argument('<path>', '/api/v1/…')
      .option(
        '--field <key=value>',
        'a member of the body (with GET: of the query); values may be JSON',
        pairs,
      )
      .addOption(new Option('--input <file>', 'the body as it is; - is stdin').conflicts('field'))
      .addOption(new Option('--paginate', 'all pages of a list, as one')),
    async (remote, options, method, path) => {
      const verb = method!.toUpperCase()
      if (!path!.startsWith('/'))
        throw usage('The path must begin with "/".', 'Where Latchkey is, says --url.')
      const call = await callOf(verb, options)
      if (!options.paginate) return show(remote, await remote.client.call(verb, path!, call))
      if (verb !== 'GET') throw usage('--paginate is for GET.', 'Leave it out.')
      return show(remote, await allPages(remote, path!, call))
    },
    { signIn: 'optional' },
  )

async function callOf(verb: string, { field = [], input }: Options): Promise<Call> {
  if (input !== undefined)
    return { body: await textOf(input), headers: { 'content-type': 'application/json' } }
  if (field.length === 0) return {}
  const entries = entriesOf(field, '--field')
  if (verb === 'GET') return { query: Object.fromEntries(entries) }
  return { body: Object.fromEntries(entries.map(([key, value]) => [key, memberOf(value)])) }
}

/** Numbers, true, null, lists and objects are what they look like; all else is text. */
function memberOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The pages of a list → one answer with the whole list. */
async function allPages({ client }: Remote, path: string, call: Call): Promise<Answer<unknown>> {
  const whole: unknown[] = []
  let last: Answer<unknown> | null = null
  for await (const page of client.pages<unknown>(path, call)) {
    last = page
    if (!Array.isArray(page.body)) return page
    whole.push(...page.body)
  }
  return { ...last!, body: whole }
}

function show({ output }: Remote, { status, headers, body }: Answer<unknown>): void {
  const people = () => (typeof body === 'string' ? body.replace(/\n$/, '') : JSON.stringify(body, null, 2))
  const json = { status, headers: Object.fromEntries(headers), body }
  output.show({ json, quiet: [], people })
}
