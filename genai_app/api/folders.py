"""`/folders`: the folders of the caller's list of dialogs. Folders of others are not found."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from genai_app.api.bodies import RequestBody, RowBody, Text, failures
from genai_app.api.budget import Reader
from genai_app.services import services

router = APIRouter(prefix="/folders", tags=["dialogs"])


class FolderName(RequestBody):
    """The name of a folder: at most 60 characters, another one than that of any other folder."""

    name: Annotated[Text, Field(max_length=1_000, examples=["Contracts"])]


class FolderItem(RowBody):
    """A folder."""

    id: UUID
    name: str
    created_at: datetime


class FolderItems(BaseModel):
    """All folders of the caller, by name."""

    items: list[FolderItem]


@router.get("", responses=failures(), summary="List my folders")
async def list_folders(actor: Reader) -> FolderItems:
    """Returns the caller's folders, 100 at most."""
    folders = await services().folders.list(actor)
    return FolderItems(items=[FolderItem.model_validate(each) for each in folders])


@router.post("", status_code=201, responses=failures(400, 409, 413), summary="Make a folder")
async def create_folder(body: FolderName, actor: Reader) -> FolderItem:
    """Makes an empty folder. `PATCH /dialogs/{id}` moves a dialog into it."""
    folder = await services().folders.create(actor, body.name)
    services().dialog_changes.look_soon()
    return FolderItem.model_validate(folder)


@router.patch("/{folder_id}", responses=failures(400, 404, 409, 413), summary="Rename a folder")
async def rename_folder(folder_id: str, body: FolderName, actor: Reader) -> FolderItem:
    folder = await services().folders.rename(actor, folder_id, body.name)
    services().dialog_changes.look_soon()
    return FolderItem.model_validate(folder)


@router.delete("/{folder_id}", status_code=204, responses=failures(404), summary="Delete a folder")
async def delete_folder(folder_id: str, actor: Reader) -> None:
    """Deletes a folder. Its dialogs stay, in no folder."""
    await services().folders.delete(actor, folder_id)
    services().dialog_changes.look_soon()
