// Every word of the page in its two languages. What the launcher says (messages, causes, fixes) comes as it is.

const en = {
  skip: "Skip to the content", services: "Services", timeline: "Timeline", doctor: "Doctor", plugins: "Plugins",
  views: "Views", language: "Language", signed_in: "Signed in as {role}", operator: "operator", viewer: "viewer",
  sign_out: "Sign out", sign_in: "Sign in", sign_in_why: "You can see what is true. To see more and to act, run this on the launcher's machine:",
  sign_in_token: "or paste a token from .launcher/token", token: "Token", wrong_token: "This token is not valid.",
  code_used: "The code in the address was used already, or is older than a minute. Run launcher open again.",
  connecting: "Connecting…", live: "Live", polling: "Read every 5 s; sign in to see changes at once",
  lost: "Connection to the launcher lost {age} ago. What you see is that old and counts as unknown. Trying again…",
  paused: "This page was in the background; reading again…",
  engine_lost: "The Docker Engine does not answer, so every state is unknown.",
  filter: "Filter", all: "All", filter_hint: "name, stack or state", none_match: "No service matches the filter.",
  nothing: "Nothing here yet.", service: "Service", state: "State", since: "Since", health: "Health", use: "CPU · memory",
  ports: "Ports and links", actions: "Actions", no_stack: "Without a stack", counts: "{ready} of {total} ready",
  ready: "ready", starting: "starting", stopping: "stopping", degraded: "degraded", failed: "failed", unknown: "unknown",
  stopped: "stopped", skipped: "skipped", unmanaged: "not managed here", last_known: "last known: {state}, {age} ago",
  ok: "ok", pending: "pending", bad: "bad", not_applicable: "none", container: "container", health_layer: "health check",
  application: "application", checked: "checked {age} ago", never: "not checked", version: "version {version}",
  rehearsal: "REHEARSAL: a stand-in, not the real service", by_hand: "started by hand", plugin_failed: "plugin not working",
  needs: "Needs", needed_by: "Needed by", start: "Start", stop: "Stop", restart: "Restart", why: "Why?", logs: "Logs",
  start_stack: "Start all", stop_stack: "Stop all", of_service: "{action}: {service}", command: "The same on the command line",
  copy: "Copy", copied: "Copied", close: "Close", cancel: "Cancel", dismiss: "Dismiss", cancelling: "Cancelling at the next step…",
  need_operator: "A viewer's token changes nothing.", need_sign_in: "Sign in first.", under_way: "An operation is under way.",
  no_connection: "There is no connection.", ask_stop: "Stop {service}?", ask_restart: "Restart {service}?",
  ask_why: "Others depend on it. This happens, in this order:", ask_all: "This happens, in this order:",
  do_start: "start", do_stop: "stop", do_keep: "leave as it is", do_skip: "skip", do_refuse: "refuse",
  queued: "queued", running: "running", succeeded: "done", failed_operation: "failed", cancelled: "cancelled",
  checking: "checking", pulling: "pulling the image", creating: "creating the container", starting_phase: "starting the container",
  health_phase: "waiting for its health check", probe: "waiting for the application to answer",
  stopping_phase: "stopping", ready_phase: "ready", failed_phase: "failed", elapsed: "{age}", bytes: "{done} of {total} MB",
  result_ready: "ready", result_already_ready: "was ready already", result_skipped: "skipped", result_stopped: "stopped",
  result_already_stopped: "was stopped already", result_failed: "failed", result_refused: "refused", result_not_tried: "not tried",
  cause: "Cause", status: "Status", exit_code: "Exit code", oom: "killed for lack of memory", restarts: "restarted {count} times",
  probes: "Health check, the last runs", last_lines: "The last lines of its log", also: "Also", next: "Next step", reading: "Reading…",
  evidence: "What shows it", all_well: "All layers agree: it is ready.", explain_again: "Ask again",
  follow: "Follow", pause: "Pause", resume: "Go on ({count} new)", search: "Search (regular expression)", bad_expression: "This is no regular expression.",
  level: "Level", level_all: "all", level_warn: "warnings and errors", level_error: "errors", wrap: "Wrap lines", download: "Download",
  lines: "Lines", shown_lines: "{shown} of {total} lines", log_ended: "The log has ended.", log_view: "Log of {service}",
  when: "When", what: "What", who: "By", reason: "Why and how", what_all: "everything",
  "operation.started": "operation begun", "operation.finished": "operation ended", "state.changed": "state changed",
  "container.died": "container ended", "container.oom": "out of memory", "health.changed": "health changed",
  "plugin.failed": "plugin failed", "preflight.refused": "refused before the start",
  check_again: "Check again", pass: "fine", warn: "warning", fail: "failure", fix: "Try", findings: "{fail} failures, {warn} warnings, {pass} fine",
  name: "Name", source: "Source", hooks: "Hooks", active: "active", incompatible: "incompatible", disabled: "disabled", plugin_failed_state: "failed",
  failure: "Reason", installed: "Installed", help: "Keys", help_filter: "go to the filter", help_close: "close the panel", help_help: "this list",
  problem_info: "note", problem_warn: "warning", problem_error: "problem", not_done: "Not done", details: "Details",
  second: "{n} s", minute: "{n} min", hour: "{n} h", day: "{n} d", unexpected: "The launcher did not answer as expected.",
};

const pt = {
  skip: "Ir para o conteúdo", services: "Serviços", timeline: "Linha do tempo", doctor: "Diagnóstico", plugins: "Extensões",
  views: "Visões", language: "Idioma", signed_in: "Sessão de {role}", operator: "operador", viewer: "leitor",
  sign_out: "Sair", sign_in: "Entrar", sign_in_why: "Você já vê o que é verdade. Para ver mais e agir, execute isto na máquina do launcher:",
  sign_in_token: "ou cole um token de .launcher/token", token: "Token", wrong_token: "Este token não é válido.",
  code_used: "O código no endereço já foi usado ou tem mais de um minuto. Execute launcher open de novo.",
  connecting: "Conectando…", live: "Ao vivo", polling: "Lido a cada 5 s; entre para ver as mudanças na hora",
  lost: "Conexão com o launcher perdida há {age}. O que você vê tem essa idade e vale como desconhecido. Tentando de novo…",
  paused: "Esta página estava em segundo plano; lendo de novo…",
  engine_lost: "O Docker Engine não responde; por isso todo estado é desconhecido.",
  filter: "Filtro", all: "Todos", filter_hint: "nome, pilha ou estado", none_match: "Nenhum serviço corresponde ao filtro.",
  nothing: "Nada aqui ainda.", service: "Serviço", state: "Estado", since: "Desde", health: "Saúde", use: "CPU · memória",
  ports: "Portas e links", actions: "Ações", no_stack: "Sem pilha", counts: "{ready} de {total} prontos",
  ready: "pronto", starting: "iniciando", stopping: "parando", degraded: "degradado", failed: "falhou", unknown: "desconhecido",
  stopped: "parado", skipped: "pulado", unmanaged: "não gerenciado aqui", last_known: "último conhecido: {state}, há {age}",
  ok: "certo", pending: "pendente", bad: "ruim", not_applicable: "não há", container: "contêiner", health_layer: "verificação de saúde",
  application: "aplicação", checked: "verificado há {age}", never: "não verificado", version: "versão {version}",
  rehearsal: "ENSAIO: um substituto, não o serviço real", by_hand: "iniciado à mão", plugin_failed: "extensão não funciona",
  needs: "Precisa de", needed_by: "Necessário para", start: "Iniciar", stop: "Parar", restart: "Reiniciar", why: "Por quê?", logs: "Registros",
  start_stack: "Iniciar todos", stop_stack: "Parar todos", of_service: "{action}: {service}", command: "O mesmo na linha de comando",
  copy: "Copiar", copied: "Copiado", close: "Fechar", cancel: "Cancelar", dismiss: "Dispensar", cancelling: "Cancelando no próximo passo…",
  need_operator: "O token de leitor não muda nada.", need_sign_in: "Entre primeiro.", under_way: "Há uma operação em andamento.",
  no_connection: "Não há conexão.", ask_stop: "Parar {service}?", ask_restart: "Reiniciar {service}?",
  ask_why: "Outros dependem dele. Isto acontece, nesta ordem:", ask_all: "Isto acontece, nesta ordem:",
  do_start: "iniciar", do_stop: "parar", do_keep: "deixar como está", do_skip: "pular", do_refuse: "recusar",
  queued: "na fila", running: "em andamento", succeeded: "concluída", failed_operation: "falhou", cancelled: "cancelada",
  checking: "verificando", pulling: "baixando a imagem", creating: "criando o contêiner", starting_phase: "iniciando o contêiner",
  health_phase: "esperando a verificação de saúde", probe: "esperando a aplicação responder",
  stopping_phase: "parando", ready_phase: "pronto", failed_phase: "falhou", elapsed: "{age}", bytes: "{done} de {total} MB",
  result_ready: "pronto", result_already_ready: "já estava pronto", result_skipped: "pulado", result_stopped: "parado",
  result_already_stopped: "já estava parado", result_failed: "falhou", result_refused: "recusado", result_not_tried: "não tentado",
  cause: "Causa", status: "Situação", exit_code: "Código de saída", oom: "morto por falta de memória", restarts: "reiniciado {count} vezes",
  probes: "Verificação de saúde, últimas execuções", last_lines: "As últimas linhas do registro", also: "Também", next: "Próximo passo", reading: "Lendo…",
  evidence: "O que o mostra", all_well: "Todas as camadas concordam: está pronto.", explain_again: "Perguntar de novo",
  follow: "Acompanhar", pause: "Pausar", resume: "Continuar ({count} novas)", search: "Busca (expressão regular)", bad_expression: "Isto não é uma expressão regular.",
  level: "Nível", level_all: "todos", level_warn: "avisos e erros", level_error: "erros", wrap: "Quebrar linhas", download: "Baixar",
  lines: "Linhas", shown_lines: "{shown} de {total} linhas", log_ended: "O registro terminou.", log_view: "Registro de {service}",
  when: "Quando", what: "O quê", who: "Por", reason: "Por que e como", what_all: "tudo",
  "operation.started": "operação iniciada", "operation.finished": "operação encerrada", "state.changed": "estado mudou",
  "container.died": "contêiner encerrou", "container.oom": "sem memória", "health.changed": "saúde mudou",
  "plugin.failed": "extensão falhou", "preflight.refused": "recusado antes do início",
  check_again: "Verificar de novo", pass: "em ordem", warn: "aviso", fail: "falha", fix: "Tente", findings: "{fail} falhas, {warn} avisos, {pass} em ordem",
  name: "Nome", source: "Origem", hooks: "Ganchos", active: "ativa", incompatible: "incompatível", disabled: "desativada", plugin_failed_state: "falhou",
  failure: "Motivo", installed: "Instaladas", help: "Teclas", help_filter: "ir ao filtro", help_close: "fechar o painel", help_help: "esta lista",
  problem_info: "nota", problem_warn: "aviso", problem_error: "problema", not_done: "Não foi feito", details: "Detalhes",
  second: "{n} s", minute: "{n} min", hour: "{n} h", day: "{n} d", unexpected: "O launcher não respondeu como esperado.",
};

export const WORDS = { en, pt };
const STORED = "launcher.language";

function chosen() {
  const stored = localStorage.getItem(STORED);
  return stored in WORDS ? stored : document.documentElement.lang in WORDS ? document.documentElement.lang : "en";
}

export const language = chosen();
document.documentElement.lang = language === "pt" ? "pt-BR" : "en";

/** The words for a key, with values in the places named in braces. */
export function t(key, values = {}) {
  return (WORDS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** Take another language from now on. */
export function choose(name) {
  localStorage.setItem(STORED, name);
  location.reload();
}

/** How long, for people: one unit, rounded down. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return t("second", { n: seconds });
  if (seconds < 3600) return t("minute", { n: Math.floor(seconds / 60) });
  if (seconds < 86400) return t("hour", { n: Math.floor(seconds / 3600) });
  return t("day", { n: Math.floor(seconds / 86400) });
}

const clock = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "short", timeStyle: "medium" });

/** A moment on this machine's clock. */
export function moment(text) {
  return clock.format(new Date(text));
}
