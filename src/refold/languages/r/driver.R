# Serves runs of one block: reads requests from one pipe, calls the block's function, writes answers to another.
#
# All of it lives in an environment of its own, so that a block's file may do in the global one what it likes. What is
# answered is plain vectors and lists, each with a word in front that says what it is.
local({
  descriptors <- commandArgs(trailingOnly = TRUE)
  requests <- file(paste0("/dev/fd/", descriptors[[1]]), "rb", raw = TRUE)
  answers <- file(paste0("/dev/fd/", descriptors[[2]]), "wb", raw = TRUE)
  options(warn = 1, keep.source = TRUE)

  # `global_vars["k"]` is the value, as `global_vars$k` is; several names give a list.
  registerS3method("[", "refold_variables", function(x, i) {
    if (!missing(i) && length(i) == 1) unclass(x)[[i]] else unclass(x)[i]
  })
  registerS3method("[[", "refold_variables", function(x, i) {
    if (is.character(i) && !i %in% names(x)) NULL else unclass(x)[[i]]
  })
  registerS3method("print", "refold_variables", function(x, ...) utils::str(unclass(x), no.list = TRUE))

  refuse <- function(at, what) stop(structure(
    class = c("refold_refusal", "error", "condition"),
    list(message = paste0(at, " is ", what), call = NULL)
  ))

  # What a vector is, its plain data, and what else one must know of it: levels, a time zone.
  vector_parts <- function(x, at) {
    if (is.factor(x)) {
      return(list(if (is.ordered(x)) "ordered" else "factor", as.integer(x), enc2utf8(as.character(levels(x)))))
    }
    if (inherits(x, "Date")) return(list("date", as.double(unclass(x)), NULL))
    if (inherits(x, "POSIXlt")) x <- as.POSIXct(x)
    if (inherits(x, "POSIXct")) {
      zone <- attr(x, "tzone")
      return(list("datetime", as.double(x), if (is.null(zone)) "" else zone[[1]]))
    }
    if (inherits(x, "difftime")) return(list("duration", as.double(x, units = "secs"), NULL))
    if (inherits(x, "integer64")) return(list("integer64", as.double(unclass(x)), NULL))
    kind <- typeof(x)
    if (isS4(x) || !kind %in% c("logical", "integer", "double", "character", "raw")) refuse(at, described(x))
    attributes(x) <- NULL
    list(kind, if (kind == "character") enc2utf8(x) else x, NULL)
  }

  described <- function(x) paste0("a ", if (is.function(x)) "function" else class(x)[[1]], ", which is no data")

  element <- function(at, name, index) {
    if (!is.null(name) && !is.na(name) && nzchar(name)) paste0(at, "$", name) else paste0(at, "[[", index, "]]")
  }

  column_parts <- function(x, at) {
    if (is.raw(x)) x <- as.integer(x)
    if (inherits(x, "POSIXlt") || (is.atomic(x) && is.null(dim(x)) && !is.null(x))) return(vector_parts(x, at))
    if (is.list(x) && !is.object(x) || inherits(x, "AsIs") && is.list(x)) {
      return(list("list", lapply(seq_along(x), function(i) outgoing(x[[i]], element(at, NULL, i))), NULL))
    }
    refuse(at, paste0("a column of class ", class(x)[[1]], ", which cannot be a column elsewhere"))
  }

  outgoing <- function(x, at) {
    if (is.null(x)) return(NULL)
    if (is.matrix(x) || inherits(x, "table")) x <- as.data.frame(x)
    if (is.data.frame(x)) {
      columns <- lapply(seq_along(x), function(i) column_parts(x[[i]], element(at, names(x)[[i]], i)))
      return(list("frame", as.double(nrow(x)), enc2utf8(as.character(names(x))), columns))
    }
    if (inherits(x, "POSIXlt")) x <- as.POSIXct(x)
    names <- if (is.null(names(x))) NULL else enc2utf8(names(x))
    if (is.list(x) && !isS4(x)) {
      x <- unclass(x)
      return(list("list", names, lapply(seq_along(x), function(i) outgoing(x[[i]], element(at, names(x)[i], i)))))
    }
    if (is.atomic(x)) return(list("vector", names, vector_parts(x, at), inherits(x, "AsIs")))
    refuse(at, described(x))
  }

  write_answer <- function(answer) {
    bytes <- serialize(answer, NULL, xdr = TRUE, version = 2L)
    writeBin(as.double(length(bytes)), answers, size = 8L, endian = "big")
    start <- 1
    while (start <= length(bytes)) {
      end <- min(start + 2^30 - 1, length(bytes))
      writeBin(if (start == 1 && end == length(bytes)) bytes else bytes[start:end], answers)
      start <- end + 1
    }
    flush(answers)
  }

  shown <- function(call) {
    if (is.null(call)) return("")
    text <- deparse(call, width.cutoff = 80L, nlines = 2L)
    if (length(text) > 1) paste0(text[[1]], " ...") else text[[1]]
  }

  # Where in a file a call was made: c(file, line), or nothing.
  place <- function(call) {
    reference <- attr(call, "srcref")
    if (is.null(reference)) return(NULL)
    file <- attr(reference, "srcfile")
    if (is.null(file) || is.null(file$filename) || !nzchar(file$filename)) return(NULL)
    c(file$filename, as.character(reference[[1]]))
  }

  statement <- NULL # where the statement of the file stands that is executed now

  # The innermost place of the user's code, and the calls that led there, each with its place, outermost first.
  story <- function(calls) {
    places <- lapply(calls, place)
    known <- which(!vapply(places, is.null, TRUE))
    where <- if (length(known)) places[[known[[length(known)]]]] else if (is.null(statement)) c("", "") else statement
    # The innermost is a call of the handler, made where the error was found.
    made <- utils::tail(known[-length(known)], 50)
    list(where, vapply(made, function(i) paste0(shown(calls[[i]]), " at line ", places[[i]][[2]]), ""))
  }

  # What `work` returns, as an answer; or the error that it stops with.
  answered <- function(work) {
    told <- NULL
    failed <- function(error) {
      if (is.null(told)) told <<- list(c("", ""), character())
      message <- tryCatch(conditionMessage(error), error = function(e) class(error)[[1]])
      call <- tryCatch(shown(conditionCall(error)), error = function(e) "")
      if (inherits(error, "refold_refusal")) call <- ""
      list("error", enc2utf8(message), enc2utf8(call), enc2utf8(told[[1]]), enc2utf8(told[[2]]),
           inherits(error, "packageNotFoundError"))
    }
    tryCatch(
      list("value", withCallingHandlers(work(), error = function(error) {
        told <<- tryCatch(story(sys.calls()), error = function(e) NULL)
      })),
      error = failed,
      interrupt = function(condition) list("error", "interrupted", "", c("", ""), character(), FALSE)
    )
  }

  load <- function(path, text, name) {
    lines <- strsplit(text, "\n", fixed = TRUE)[[1]]
    Encoding(lines) <- "UTF-8"
    expressions <- parse(text = lines, keep.source = TRUE, srcfile = srcfilecopy(path, lines, isFile = TRUE),
                         encoding = "UTF-8")
    references <- attr(expressions, "srcref")
    for (i in seq_along(expressions)) {
      statement <<- c(path, as.character(references[[i]][[1]]))
      eval(expressions[[i]], globalenv())
    }
    statement <<- NULL
    defined <- Filter(function(each) is.function(get(each, globalenv())), ls(globalenv()))
    if (!name %in% defined) return(list("missing", NULL, enc2utf8(as.character(defined))))
    taken <- names(formals(get(name, globalenv())))
    list("loaded", NULL, enc2utf8(as.character(taken)))
  }

  run <- function(name, inputs, variables) {
    class(variables) <- "refold_variables"
    assign("global_vars", variables, envir = globalenv())
    frame <- new.env(parent = globalenv())
    names <- paste0("df_", seq_along(inputs), recycle0 = TRUE)
    for (i in seq_along(inputs)) assign(names[[i]], inputs[[i]], envir = frame)
    value <- eval(as.call(lapply(c(name, names), as.name)), frame)
    while (sink.number() > 0) sink()
    outgoing(value, paste0(name, "()"))
  }

  repeat {
    request <- tryCatch(unserialize(requests), error = function(error) NULL)
    if (is.null(request)) break
    answer <- if (request[[1]] == "load") {
      answered(function() load(request[[2]], request[[3]], request[[4]]))
    } else {
      answered(function() run(request[[2]], request[[3]], request[[4]]))
    }
    rm(request)
    while (sink.number() > 0) sink()
    flush(stdout())
    write_answer(answer)
    rm(answer)
  }
})
