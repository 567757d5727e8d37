"""Read by mkdocs: the site has the repository's own paths, so that the documents' links lead where they lead there."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from testing.site import DRAWING, ROOT, for_the_site, navigation, pages, with_drawing


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    theme = [file for file in files if file.src_dir != config.docs_dir]
    ours = [File(name, str(ROOT), config.site_dir, config.use_directory_urls) for name in pages()]
    return Files([*theme, *ours])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return for_the_site(page.file.src_uri, markdown, config.repo_url or "")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return with_drawing(html, get_relative_url(DRAWING, page.url))
