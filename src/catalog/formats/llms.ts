// /llms.txt: where an agent that was given only this address should go on, in Markdown as llmstxt.org has it. Pure.
import { problems } from '../../http/problems.ts'
import { ownServiceId } from '../../identity/own-scopes.ts'
import type { Site } from '../render.ts'
import type { JobEntry } from '../shown.ts'
import type { State } from './pages.ts'

export function llmsText(site: Site, { snapshot, shown }: State): string {
  const { issuer, tokenPrefix } = site
  const catalog = `${issuer}/api/programmatic/catalog`
  const published = new Set([ownServiceId, ...snapshot.services.map((one) => one.id)])
  const services = snapshot.registered.filter((one) => published.has(one.id))
  const endpointsOf = (id: string) => shown.endpoints.filter((one) => one.service === id).length
  return [
    '# Latchkey',
    '',
    '> API tokens for the services below: which endpoint does a job, which scopes that needs, and what a refusal means.',
    '',
    `- Send \`Authorization: Bearer ${tokenPrefix}_pat_…\`. Everything that this page links to can be read without it.`,
    '- A token should have just the scopes of its job. Which those are is listed here; nothing here makes tokens.',
    `- Does the token at hand allow an endpoint? Read ${catalog}?for=self&view=summary with it.`,
    '- Refusals are `application/problem+json` with a `code`; 401 is final, 503 is worth another try.',
    ...section('Jobs', [...new Map(shown.jobs.map((one) => [one.job, one])).values()].map(jobLine(catalog))),
    ...section(
      'Endpoints',
      services.map(({ id, name }) => {
        const size = `${endpointsOf(id)} endpoints`
        return `${link(name, `${catalog}?service=${id}&view=summary`)}: ${size}; ${link('OpenAPI', `${issuer}/api/programmatic/openapi/${id}.json`)}`
      }),
    ),
    ...section('Docs', [
      `${link('Catalog', `${catalog}?view=summary`)}: a line for each endpoint; without \`view=summary\` all there is to know; filters \`service method scope access q job\``,
      `${link('Workflows', `${issuer}/api/programmatic/arazzo.json`)}: jobs of several steps, as Arazzo`,
      `${link('Reference', `${issuer}/docs/`)}: Latchkey’s own API, for people`,
    ]),
    ...section(
      'Errors',
      Object.entries(problems).map(([code, { status, meaning, whatToDo }]) => {
        return `${link(code, `${issuer}/problems/${code}`)}: ${status}. ${meaning} ${whatToDo}`
      }),
    ),
    ...section('Optional', [
      `${link('OpenAPI 3.1', `${issuer}/api/programmatic/openapi.json`)}: all services in one document`,
      `${link('API catalog', `${issuer}/.well-known/api-catalog`)}: RFC 9727`,
      `MCP: POST ${issuer}/mcp, Streamable HTTP; tools search_endpoints, describe_endpoint, list_jobs, whoami`,
    ]),
    '',
  ].join('\n')
}

const section = (title: string, lines: readonly string[]) =>
  lines.length === 0 ? [] : ['', `## ${title}`, '', ...lines.map((line) => `- ${line}`)]

const jobLine =
  (catalog: string) =>
  ({ job, service, scopes }: JobEntry) =>
    `${link(job, `${catalog}?job=${encodeURIComponent(job)}`)}: ${service}, needs ${scopes.map((one) => `\`${one}\``).join(' ') || 'no scope'}`

/** What services call things stays one line of text, and makes no heading or link of its own. */
const link = (text: string, url: string) =>
  `[${text.replace(/\s+/g, ' ').replace(/[\\[\]()<>`*_#]/g, '\\$&')}](${url.replaceAll('(', '%28').replaceAll(')', '%29')})`
